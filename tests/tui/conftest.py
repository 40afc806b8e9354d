"""Recorded sessions, a host that answers from them, and the workbench opened on it."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from engine.events import Notice

from .finished_run import at_home, events, headcode, picture, run_row, session_row  # noqa: F401  # fixtures
from .opening import opened, shown_text
from .real_host import places  # noqa: F401  # a fixture
from .recorded import KNOWN, START_US, make_examples, make_nodes, run_events
from .scripted import ScriptedHost


class Recorded:
    """What tests make recorded sessions of."""

    host = ScriptedHost
    events = staticmethod(run_events)
    nodes = staticmethod(make_nodes)
    examples = staticmethod(make_examples)
    notice = Notice
    start_us = START_US
    known = KNOWN


@pytest.fixture
def host(tmp_path: Path, recorded: type[Recorded]) -> Iterator[Any]:
    """A session of ten minutes in a real store, and what a host answers to questions about it."""
    from .store_host import a_session, written

    with written(tmp_path, a_session(recorded)) as found:
        yield found


@pytest.fixture
def nodes_host(tmp_path: Path) -> Iterator[Any]:
    """A recorded session of the bundled model: a run with MLPs and the embedding, and one of heads alone."""
    from .recorded_nodes import nodes_session

    with nodes_session(tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def recorded() -> type[Recorded]:
    return Recorded


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """One clock zone, all colours, and nothing of the person who runs the tests."""
    import time

    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path / "home"))

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[App[Any]], None]:
    """Compare the screen with the stored picture; HEADCODE_UPDATE_SNAPSHOTS=1 stores it again."""

    def check(app: App[Any]) -> None:
        svg = re.sub(r"terminal-\d+", "terminal", app.export_screenshot(title="headcode", simplify=True))
        scene = getattr(request.node, "callspec", None)
        name = scene.id if scene is not None else request.node.name.removeprefix("test_")
        stored = Path(__file__).parent / "pictures" / f"{name}.svg"
        if os.environ.get("HEADCODE_UPDATE_SNAPSHOTS"):
            stored.parent.mkdir(exist_ok=True)
            stored.write_text(svg, encoding="utf-8")
        assert stored.exists(), f"no picture yet: HEADCODE_UPDATE_SNAPSHOTS=1 makes {stored.name}"
        if svg != stored.read_text(encoding="utf-8"):
            now = stored.with_suffix(".now.svg")
            now.write_text(svg, encoding="utf-8")
            raise AssertionError(f"{stored.name} looks different; what it looks like now: {now}")

    return check


@pytest.fixture
def open_screen() -> Callable[..., Any]:
    """Opens the workbench on a host: gives the app, its pilot, and a way to wait until something is so."""
    return opened


@pytest.fixture(scope="session")
def text_of() -> Callable[[App[Any]], str]:
    return shown_text
