"""The door to the full-screen workbench; textual is imported behind it."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.link import Host

COLOUR_CHOICES = ("truecolor", "256", "16", "none")


def run_workbench(*, session: str | None, model: str, task: str, colours: str | None = None) -> int:
    """Shows the workbench until the person leaves; the exit code.

    `colours`: one of COLOUR_CHOICES; None finds out what the terminal shows.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("headcode: the workbench needs a terminal; `headcode probe` works without one.", file=sys.stderr)
        return 2
    choose_colours(colours)
    from engine.places import find_places
    from tui.keymap import load_keys
    from tui.remember import remembered
    from tui.workbench import HeadcodeApp

    known = remembered()
    own = load_keys(find_places().keys)
    # Whoever asks for a session by name has been here before.
    tour = session is None and not known.toured
    app = HeadcodeApp(
        _connect, session=session, model=model, task=task, keys=own.keys, problems=own.problems, tour=tour
    )
    if known.theme is not None and app.depth != "16":
        app.theme = known.theme
    app.run()
    run = app.bench.shown
    if run is not None and run.active and app.bench.link == "live":
        print("The run goes on; `headcode` shows it again.", file=sys.stderr)
    if app.return_code and app.bench.failure is not None and app.link.exit_code:
        from tui.text import clean

        print(f"headcode: {clean(app.bench.failure.message)} {clean(app.bench.failure.hint)}".rstrip(), file=sys.stderr)
    return app.return_code or 0


def run_replay(session: str, *, start: str | None, speed: float, colours: str | None = None) -> int:
    """Shows the replay of a session or run until the person leaves; the exit code."""
    choose_colours(colours)
    from engine.places import find_places
    from tui.keymap import load_keys
    from tui.remember import remembered
    from tui.replay_app import ReplayApp

    own = load_keys(find_places().keys)
    app = ReplayApp(_connect, session=session, start=start, speed=speed, keys=own.keys, problems=own.problems)
    chosen = remembered().theme
    if chosen is not None and app.depth != "16":
        app.theme = chosen
    app.run()
    return app.return_code or 0


def choose_colours(choice: str | None) -> None:
    """Tells Textual how many colours to send; it reads this when it is imported."""
    if choice is None and os.environ.get("TERM") in {None, "dumb", "unknown"}:
        choice = "none"
    if choice == "none":
        os.environ["NO_COLOR"] = "1"
    elif choice is not None:
        os.environ["TEXTUAL_COLOR_SYSTEM"] = "standard" if choice == "16" else choice
        os.environ.pop("NO_COLOR", None)


async def _connect() -> "Host":
    from engine.places import find_places
    from sessions.client import HostClient

    return await HostClient.connect(find_places())
