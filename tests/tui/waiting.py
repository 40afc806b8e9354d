"""What a screen is still at: for tests that go on when it has come to rest, however slow the machine is."""

from typing import Any

from textual.app import App

_LASTING = frozenset({"link", "begin", "verify", "follow"})
"""Workers that go on as long as the screen does, or as a test lets them: follow a log or sweep, play, verify."""


def under_way(app: App[Any]) -> list[str]:
    """What is asked of the host, to be recorded or about to be drawn; empty when nothing will change by itself."""
    asked = [worker.group for worker in app.workers if not worker.is_finished and worker.group not in _LASTING]
    timers = [timer for screen in app.screen_stack for timer in screen._timers if timer._repeat == 0]
    return asked + [timer.name for timer in timers if timer._task is not None and not timer._task.done()]
