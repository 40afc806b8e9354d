"""One brake for every key that begins a run: what will not fit in memory is begun only when it is asked for twice."""

from typing import Any

from textual.screen import Screen

from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.styled_line import wrap


def warn_of_memory(screen: Screen[Any], state: WorkbenchState, run: str) -> bool:
    """Whether the run must not begin yet: the first time it is asked for and will not fit, the person is told.

    `run` is the full id of the action that asks, whose key is named.
    """
    ahead = state.preflight
    if ahead is None or ahead.fits is not False or ahead is state.warned or state.link != "live":
        return False
    state.warned = ahead
    again, lower = state.key(run), state.key("options")
    told = f"It {ahead.memory_words}. {again} once more runs it all the same; {lower} lowers it."
    words = "\n".join(wrap(clean(told), 56, 8))
    screen.notify(words, title="The run will not fit", severity="warning", timeout=12, markup=False)
    return True
