"""Private names of Textual and Rich: used in one file each, and there in the versions that are installed."""

import ast
import asyncio
import inspect
import itertools
import re
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor, LayoutUpdate
from textual.app import App
from textual.dom import DOMNode
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui.app.app import HeadcodeApp
from tui.screens.choice import ChoiceSheet
from tui.screens.workbench import WorkbenchScreen
from tui.terminal.textual_private import HookedPump
from tui.widgets.line_widget import LineWidget

TUI = Path(__file__).parents[3] / "tui"
ALLOWED = {"terminal/textual_private.py", "terminal/rich_private.py"}
OWNERS = (App, Screen, Widget, DOMNode, MessagePump, Console, Style)


@cache
def private_names() -> frozenset[str]:
    """Names with an underscore that Textual's and Rich's classes have, or give their objects."""
    found: set[str] = set()
    for owner in {each for one in OWNERS for each in one.__mro__ if each is not object}:
        found |= {name for name in vars(owner) if re.match(r"_[a-z]", name)}
        found |= set(re.findall(r"self\.(_[a-z]\w*)", inspect.getsource(owner)))
    return frozenset(found)


def uses(source: str, names: frozenset[str]) -> list[str]:
    """Where a module reads or overrides one of these names that is not its own, or imports a private one."""
    tree = ast.parse(source)
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if node.attr not in own or ast.unparse(node.value) == "super()":
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("textual", "rich"):
            words = [*node.module.split("."), *(each.name for each in node.names)]  # type: ignore[union-attr]
            if any(word.startswith("_") for word in words):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", sorted(TUI.rglob("*.py")), ids=lambda path: path.relative_to(TUI).as_posix())
def test_private_names_are_used_in_one_file(path: Path) -> None:
    if path.relative_to(TUI).as_posix() not in ALLOWED:
        assert not uses(path.read_text(), private_names() - {"_exit"})


def test_the_search_finds_each_kind() -> None:
    names = private_names()
    assert uses("def f(app):\n    return app._driver", names)
    assert uses("class A(B):\n    def _display(self):\n        super()._display()", names)
    assert uses("from textual._compositor import ChopsUpdate", names)
    assert uses("from textual.keys import _character_to_key", names)
    assert not uses("class A:\n    def f(self):\n        self._mine = 1\n        return self._mine", names)


def test_what_is_used_is_there_in_this_version() -> None:
    assert list(inspect.signature(App._display).parameters) == ["self", "screen", "renderable"]
    assert list(inspect.signature(App._handle_exception).parameters) == ["self", "error"]
    assert list(inspect.signature(App._fatal_error).parameters) == ["self"]
    assert list(inspect.signature(Compositor.render_strips).parameters)[:2] == ["self", "size"]
    app = App[None]()
    for name in (
        *("_driver", "_running", "_closed", "_batch_count", "_previous_cursor_position", "_sync_available"),
        *("_exception", "_exit_renderables", "_close_messages_no_wait", "_bindings", "_merged_bindings"),
    ):
        assert hasattr(app, name), name
    console = Console(force_terminal=False, color_system="truecolor")
    assert console._force_terminal is False
    assert hasattr(console, "_color_system")
    assert hasattr(Style(bold=True), "_ansi")
    assert Timer(app, 1)._skip is True
    assert {"region", "strips"} <= set(inspect.signature(LayoutUpdate.__init__).parameters)
    assert {"chops", "spans", "chop_ends"} <= set(inspect.signature(ChopsUpdate.__init__).parameters)


@pytest.mark.parametrize("kind", [HeadcodeApp, WorkbenchScreen, ChoiceSheet, LineWidget])
def test_every_timer_of_ours_is_of_the_kind_that_is_not_lost(kind: type[MessagePump]) -> None:
    assert kind.set_timer is HookedPump.set_timer


async def test_a_timer_calls_however_late_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that runs an hour between any two looks at it: a machine that is busy just then."""

    class Busy(HookedPump, App[None]):
        called = 0

        def call(self) -> None:
            self.called += 1

    app = Busy()
    async with app.run_test() as pilot:
        hours = itertools.count(step=3600.0)
        with monkeypatch.context() as patch:
            patch.setattr("textual._time.get_time", lambda: next(hours))
            timers = [app.set_timer(seconds, app.call) for seconds in (0, 0.001, 0.01)]
            await asyncio.wait_for(asyncio.gather(*(timer._task for timer in timers if timer._task)), 60)
        await pilot.pause()
    assert app.called == 3
