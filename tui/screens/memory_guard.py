"""Memory check before a run: a run that will not fit starts only when requested twice."""

from typing import Any

from textual.screen import Screen

from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.styled_line import wrap


def warn_of_memory(screen: Screen[Any], state: WorkbenchState, run: str) -> bool:
    """Warn the first time a run is requested that will not fit; return True if it must not start yet.

    `run` is the full id of the requesting action, whose key the warning names.
    """
    ahead = state.preflight
    if ahead is None or ahead.fits is not False or ahead is state.warned or state.link != "live":
        return False
    state.warned = ahead
    again, lower = state.key(run), state.key("options")
    text = f"It {ahead.memory_words}. {again} again runs it anyway; {lower} changes the options."
    words = "\n".join(wrap(clean(text), 56, 8))
    screen.notify(words, title="The run will not fit", severity="warning", timeout=12, markup=False)
    return True
