"""The run's prompts grouped by the head's code, with tokens coloured by what the head does there."""

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.strip import Strip

from engine.results import NO_CODE
from sessions.protocol import HeadInspection
from sessions.rows import HeadCodes
from tui.state.head_details import CodeCarriers
from tui.state.head_inspection import InspectorState
from tui.terminal.sanitize import clean
from tui.themes.colour_maps import chosen_map
from tui.themes.themes import LEVELS, heat_colours, needs_dark_text
from tui.widgets.line_widget import LinePicked, LineWidget, first_visible
from tui.widgets.styled_line import StyledLine, fit_end, one_line


class TokenWidget(LineWidget):
    """A widget that colours tokens."""

    def __init__(self, inspector: InspectorState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(inspector.state, id=id)
        self.inspector = inspector

    def shade(self, share: float) -> Style:
        """Return the style for a share from 0 to 1; without colours dim, bold or reverse."""
        level = 0 if share <= 0.01 else max(1, round(min(share, 1.0) * (LEVELS - 1)))
        if self.inspector.depth in ("16", "none"):
            return Style(reverse=share > 0.66, bold=share > 0.33, dim=share < 0.1)
        colour = heat_colours(dark=self.app.current_theme.dark, name=chosen_map(self.app))[level]
        if level == 0:
            return self.ink("text")
        ink = (0x0A, 0x0D, 0x12) if needs_dark_text(colour) else (0xFF, 0xFF, 0xFF)
        return Style.from_color(Color.from_rgb(*ink), Color.from_rgb(*colour))


class PromptList(TokenWidget):
    """Each code with its counts per side and its prompts; or the prompts in their original order."""

    def __init__(self, inspector: InspectorState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(inspector, id=id)
        self.first = 0

    @property
    def in_sight(self) -> list[int]:
        """The visible examples except the selected one."""
        rows = self.inspector.rows[self.first : self.first + self.size.height]
        return [row for row in rows if isinstance(row, int) and row != self.inspector.example]

    def lines(self, size: Size, /) -> list[Strip]:
        rows, room = self.inspector.rows, size.height
        at = rows.index(self.inspector.example) if self.inspector.example in rows else 0
        self.first = first_visible(self.first, at, room, len(rows), centre=True)
        if self.first and at == self.first and isinstance(rows[at - 1], CodeCarriers):
            self.first -= 1  # show the code above its first prompt
        looks = [self.inspector.look_at(example) for example in range(len(self.inspector.examples))]
        top = max((max(look.strength, default=0.0) for look in looks if look is not None), default=0.0)
        found = []
        for row in rows[self.first : self.first + room]:
            line = self._code(row) if isinstance(row, CodeCarriers) else self._prompt(row, looks[row], top, size.width)
            found.append(line.strip())
        return found

    def _code(self, row: CodeCarriers) -> StyledLine:
        line = self.line().add(
            f" {'silent' if row.code == NO_CODE else row.code}", "strong" if row.kind < 2 else "text"
        )
        line.to(8).add(f"+ {row.positive:<4}", "positive" if row.positive else "faint")
        line.add(f"- {row.negative:<4}", "negative" if row.negative else "faint")
        return line.add(("only +", "only -", "")[row.kind], ("positive", "negative", "dim")[row.kind])

    def _prompt(self, place: int, look: HeadInspection | None, top: float, width: int) -> StyledLine:
        example, on = self.inspector.examples[place], place == self.inspector.example
        sign, ink = ("+", "positive") if example.positive else ("-", "negative")
        words = self._own_code(place)
        line = self.line().add("▸" if on else " ", "accent").add(f"{sign} ", ink)
        room = width - 4 - len(words)
        if look is None:
            line.add(fit_end(one_line(example.prompt), room), "strong" if on else "dim")
        else:
            shares = self.inspector.shares_beside(look, top)
            for text, share in _end(look.tokens, shares, room):
                style = self.shade(share)
                line.add_styled(text, style + Style(bold=True) if on else style)
        return line.to(width - len(words)).add(words, "text" if on else "faint")

    def _own_code(self, place: int) -> str:
        codes = self.state.head_codes()
        if self.inspector.by_code or not isinstance(codes, HeadCodes) or place >= len(codes.codes):
            return ""
        return " silent" if codes.codes[place] == NO_CODE else f" {codes.codes[place]}"

    def on_click(self, event: events.Click) -> None:
        rows = self.inspector.rows
        row = rows[self.first + event.y] if self.first + event.y < len(rows) else None
        if isinstance(row, CodeCarriers):
            row = row.examples[0]
        if row is not None:
            self.post_message(LinePicked(row))


def _end(tokens: tuple[str, ...], shares: list[float], width: int) -> list[tuple[str, float]]:
    """Return the last tokens that fit, with their shares; an ellipsis if some do not."""
    found: list[tuple[str, float]] = []
    used = 0
    for token, share in zip(reversed(tokens), reversed(shares), strict=True):
        text = clean(token) or "␣"
        if used + cell_len(text) > width - 1:
            return [("…", 0.0), *reversed(found)]
        used += cell_len(text)
        found.append((text, share))
    return found[::-1]
