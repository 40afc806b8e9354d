"""The list of models to choose from: shape, size, whether a run fits, and the progress of a fetch."""

from collections.abc import Mapping

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from engine.planning.preflight import Preflight
from tui.state.model_choices import ModelChoice, format_fit
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget, first_visible
from tui.widgets.styled_line import StyledLine, fit

_SHAPE, _SIZE = 10, 10


class ModelList(LineWidget):
    """The list. `choices`, `at` and `fits` are set by the screen, which paints it afterwards."""

    class Picked(Message):
        """A model was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.choices: tuple[ModelChoice, ...] = ()
        self.at = 0
        self.fits: Mapping[str, Preflight] = {}
        self.fetching = ""
        """Progress of the fetch of the chosen model; empty while nothing is fetched."""
        self._first = 0

    @property
    def choice(self) -> ModelChoice | None:
        """The chosen model; None if none is listed."""
        return self.choices[self.at] if self.at < len(self.choices) else None

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and 0 < place.y <= len(self.choices) - self._first:
            self.post_message(self.Picked(self._first + place.y - 1))

    def lines(self, size: Size, /) -> list[Strip]:
        if not self.choices:
            words = "  No model is called that. A hub name is written org/name."
            return [self.line().add(fit(words, size.width - 1), "dim").strip()]
        self.at = min(max(self.at, 0), len(self.choices) - 1)
        room = max(size.height - 1, 1)
        self._first = first_visible(self._first, self.at, room, len(self.choices))
        width = min(34, max(16, size.width - 58))
        head = self.line().add("  ").add("model", "faint").to(2 + width).add("layers x", "faint").to(2 + width + _SHAPE)
        head.add("size", "faint").to(2 + width + _SHAPE + _SIZE).add("a run on this machine", "faint")
        shown = self.choices[self._first : self._first + room]
        rows = [self._row(choice, place, width, size.width) for place, choice in enumerate(shown, self._first)]
        return [head.strip(), *(row.strip() for row in rows)]

    def _row(self, choice: ModelChoice, place: int, width: int, room: int) -> StyledLine:
        on = place == self.at
        line = self.line().add("▸ " if on else "  ", "accent")
        line.add(fit(clean(choice.name), width - 1), "strong" if on else "text").to(2 + width)
        line.add(choice.shape or "–", "text" if on else "dim").to(2 + width + _SHAPE)
        line.add(choice.size, "text" if on else "dim").to(2 + width + _SHAPE + _SIZE)
        words, ink = self._about(choice, on)
        return line.add(fit(words, room - line.width - 1), ink)

    def _about(self, choice: ModelChoice, on: bool) -> tuple[str, str]:
        if on and self.fetching:
            return self.fetching, "second"
        if choice.trouble:
            return clean(choice.trouble), "bad"
        if not choice.here:
            return f"fetch it: {clean(choice.source)}", "accent"
        return format_fit(self.fits.get(choice.name))
