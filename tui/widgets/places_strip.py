"""Where in the prompt a node matters: what patching it at each token alone does to the answer."""

from collections.abc import Callable, Sequence

from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.effects import METRIC_WORDS
from engine.errors import Failure
from sessions.protocol import GetPlaces, Places
from tui.output.effects import format_signed
from tui.state.node_parts import first_places, places_request
from tui.state.token_columns import ROUNDING, TokenPlace, shown_places, token_places
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.colour_maps import chosen_map
from tui.themes.diverging import signed_level
from tui.themes.themes import Depth
from tui.widgets.heat_cell import signed_palette
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine, fit, one_line, wrap

_CELL = 7
_LABEL = 7
_NARROW = 4


class SignedWidget(LineWidget):
    """A widget that colours signed numbers."""

    depth: Depth = "full"

    def signed(self, value: float, largest: float) -> Style:
        """Return the style of a signed number; without colours bold if it is large."""
        palette = signed_palette(
            dark=self.app.current_theme.dark, depth=self.depth, faded=False, name=chosen_map(self.app)
        )
        level = signed_level(value if abs(value) > ROUNDING * largest else 0.0, largest)
        return palette.cells[level] if self.depth != "none" else Style(bold=abs(value) > largest / 2)


class PlacesStrip(SignedWidget):
    """The strip of the node at the cursor, on the selected prompt and in the mean over prompts."""

    def __init__(
        self,
        state: WorkbenchState,
        depth: Depth,
        example: Callable[[], int],
        token: Callable[[], int | None] = lambda: None,
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(state, id=id)
        self.depth = depth
        self._example, self._token = example, token

    @property
    def request(self) -> GetPlaces | None:
        """What is shown here, as a request to the host."""
        return places_request(self.state.shown, self.state.cursor)

    @property
    def wanted(self) -> list[tuple[GetPlaces | None, type[Places]]]:
        """What is shown, as requests; in the first look into a run, first on the prompt at hand alone.

        Preparing one pair takes a fraction of the time of preparing all; once all are prepared, they are faster.
        """
        every = self.request
        first = first_places(every, self.state.examples, self._example())
        prepared = every is not None and self.state.parts.prepared(every.run)
        return [(None if prepared else first, Places), (every, Places)]

    @property
    def found(self) -> Places | Failure | None:
        """What is known: of all prompts, else of the prompt at hand."""
        every = self.request
        found = self.state.parts.get(every, Places)
        if found is not None:
            return found
        first = self.state.parts.get(first_places(every, self.state.examples, self._example()), Places)
        return first if isinstance(first, Places) else None

    def lines(self, size: Size, /) -> list[Strip]:
        request = self.request
        found = self.found
        if found is None:
            words = self.state.parts.format_wait(request, f"measuring {self.state.cursor} at every token alone")
            return [self.line().add(f" {fit(words, size.width - 2)}", "dim").strip()]
        if isinstance(found, Failure):
            return failure_lines(self.line, found, size)
        places, own = token_places(found.prompts, self._example())
        chosen = self._token() if own is not None else None
        wide = size.height >= _NARROW
        per_band = 3 if own is not None and wide else 2
        columns = max((size.width - 1 - _LABEL) // _CELL, 1)
        bands = max((size.height - 1) // per_band, 1)
        shown = shown_places(places, columns * bands, chosen)
        lines = [self._head(found, places, shown, chosen, size.width, own=own is not None)]
        largest = max((abs(each.effect) for each in places), default=0.0)
        for start in range(0, len(shown), columns):
            lines += self._band(
                shown[start : start + columns], largest, chosen, own=own is not None, means=per_band > 2
            )
        return [line.strip() for line in lines[: size.height]]

    def _head(
        self,
        found: Places,
        places: Sequence[TokenPlace],
        shown: Sequence[TokenPlace],
        chosen: int | None,
        width: int,
        *,
        own: bool,
    ) -> StyledLine:
        """Format the selected position, else what is shown."""
        sides = "pairs" if found.how.replacement == "pair" else "prompts"
        n = len(found.prompts)
        line = self.line().add(" ")
        at = places[chosen] if chosen is not None and chosen < len(places) else None
        if at is not None:
            line.add(fit(one_line(at.token).strip() or "␣", 12), "strong")
            if at.other and at.other != at.token:
                line.add(f" < {fit(one_line(at.other).strip() or '␣', 12)}", "dim")
            line.add(f" {format_signed(at.effect)}", "text")
            if at.mean is not None:
                error = "" if at.mean.error is None else f" ±{format_signed(at.mean.error).lstrip('+')}"
                line.add(f", mean {format_signed(at.mean.effect)}{error}", "dim")
            line.add(" · ", "faint")
        what = METRIC_WORDS[found.how.metric]
        base = sum(each.base for each in found.prompts) / n if n else 0.0
        of = "" if found.how.metric == "kl" else f" of {base:.3g}"
        left = "" if own else "not measured on this prompt: "
        more = f"; {len(shown)} of {len(places)} tokens" if len(shown) < len(places) else ""
        words = f"{left}{what}{of}, {n} {sides}{more}"
        return line.add(fit(words, width - line.width - 1), "faint")

    def _band(
        self, places: Sequence[TokenPlace], largest: float, chosen: int | None, *, own: bool, means: bool
    ) -> list[StyledLine]:
        tokens, effects, mean = self.line().add(" ").to(_LABEL), self.line(), self.line()
        effects.add(" here" if own else " mean", "faint").to(_LABEL)
        mean.add(" mean", "faint").to(_LABEL)
        for each in places:
            on = own and each.index == chosen
            text = fit(clean(each.token).strip() or "␣", _CELL - 1)
            end = tokens.width + _CELL
            tokens.add(text, "cursor" if on else "text").to(end)
            effects.add_styled(f"{format_signed(each.effect):>{_CELL - 1}} ", self.signed(each.effect, largest))
            value = 0.0 if each.mean is None else each.mean.effect
            mean.add_styled(f"{format_signed(value):>{_CELL - 1}} ", self.signed(value, largest))
        return [tokens, effects, *([mean] if means else [])]


def failure_lines(line: Callable[[], StyledLine], failure: Failure, size: Size) -> list[Strip]:
    """Return the lines of a failure: what happened, and what to do."""
    words = wrap(f"{failure.message} {failure.hint}", size.width - 2, max(size.height, 1))
    return [line().add(f" {row}", "bad").strip() for row in words]
