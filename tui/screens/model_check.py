"""Starts and stops the check of a model from a screen, and reports how it ends."""

from typing import TYPE_CHECKING

from engine.catalog.check_report import CheckStarted
from engine.errors import HeadcodeError
from tui.headless.check_model import check_in_process
from tui.screens.panes import PanesScreen
from tui.screens.sub_screen import SubScreen
from tui.state.checked_models import RunningCheck
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from textual.app import App

_GROUP = "check"
_COMPARED = "bfloat16"
"""The number format that float32 is compared with unless the run uses another half precision."""

_MOST = 3
"""Number of failed checks that the notice lists."""


def toggle_check(screen: SubScreen, state: WorkbenchState, model: str, dtype: str, device: str) -> None:
    """Check the model in a process of its own; if a check is running, end it instead.

    It goes on when the screen is closed, and ends with the program.
    """
    app = screen.app
    if state.checked.running is not None:
        name = state.checked.running.model
        app.workers.cancel_group(app, _GROUP)
        screen.notify(f"The check of {clean(name)} was stopped; nothing was stored.", markup=False, timeout=4)
        return
    state.checked.running = RunningCheck(model=model, at=CheckStarted(what="starting"))
    compared = dtype if dtype == "float16" else _COMPARED
    app.run_worker(_check(app, state, model, compared, device), group=_GROUP, exit_on_error=True)
    screen.paint()


async def _check(app: "App[None]", state: WorkbenchState, model: str, dtype: str, device: str) -> None:
    def paint() -> None:
        for screen in app.screen_stack:
            if isinstance(screen, SubScreen):
                screen.paint()
            elif isinstance(screen, PanesScreen):
                screen.drawing.soon(frozenset({"header"}))

    def started(word: CheckStarted) -> None:
        state.checked.running = RunningCheck(model=model, at=word)
        paint()

    try:
        done = await check_in_process(model, dtype, device, started)
    except (HeadcodeError, OSError) as error:
        words = f"{error.message} {error.hint}" if isinstance(error, HeadcodeError) else str(error)
        app.notify(clean(words), title=f"{clean(model)} could not be checked", severity="error", markup=False)
        return
    finally:
        state.checked.running = None
        state.checked.forget()
        paint()
    failed = [check for check in done.report.checks if check.verdict == "fails"]
    words = "\n".join(f"{check.name}: {check.reason}" for check in failed[:_MOST]) or f"{done.report.summary}."
    if done.not_stored:
        words += f"\nThe result could not be stored beside the models: {done.not_stored}."
    title = f"{clean(model)} on {done.report.device}, {done.report.seconds:.0f} s"
    app.notify(
        clean(words, lines=True), title=title, severity="warning" if failed else "information", timeout=12, markup=False
    )
