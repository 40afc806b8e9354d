"""Base of screens that show one view of what is measured on request."""

from textual.app import ComposeResult

from tui.screens.parts_loader import FetchPart, PartsLoader, Wanted
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.workbench_state import WorkbenchState
from tui.widgets.line_widget import LineWidget


class MeasuredScreen(SubScreen):
    """A screen with one view of what is asked of the host while it is shown."""

    view: LineWidget

    def __init__(self, state: WorkbenchState, fetch: FetchPart) -> None:
        super().__init__(state)
        self.loader = PartsLoader(self, state.parts, fetch, self.wanted, self.paint)

    def compose(self) -> ComposeResult:
        yield self.view
        yield SubScreenKeys(self.state, self.actions)

    def on_mount(self) -> None:
        self.state.parts.forget_failures()
        self.moved()

    def on_resize(self) -> None:
        """Redraw once the view has its new size: how much fits is part of what is shown."""
        self.call_after_refresh(self.paint)

    def wanted(self) -> Wanted:
        """Return what is shown, as requests to the host with what answers them."""
        raise NotImplementedError

    def moved(self) -> None:
        """Ask for what is shown now and redraw."""
        self.loader.start()
        self.paint()
