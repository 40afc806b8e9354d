"""Inspection of one head: its prompts, output and attention per token, where it matters, and what its codes write."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from rich.cells import cell_len
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.timer import Timer

from engine.analysis.head_kinds import format_kinds
from engine.errors import Failure
from engine.results import NO_CODE
from sessions.protocol import GetHeadInspection, HeadInspection
from sessions.rows import HeadCodes
from tui.actions import screen_actions
from tui.screens.node_screen import NodeScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.screens.sub_screen import SubScreenKeys
from tui.state.atlas import AtlasState
from tui.state.head_inspection import COLOURINGS, WORDS, InspectorState, Key
from tui.state.number_text import format_fixed
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.heat_cell import SHADES
from tui.widgets.latest_worker import run_latest
from tui.widgets.line_widget import LinePicked, LineWidget
from tui.widgets.places_strip import PlacesStrip
from tui.widgets.prompts_by_code import PromptList, TokenWidget
from tui.widgets.styled_line import StyledLine, bar, fit, take_cells, wrap
from tui.widgets.top_line import format_head_title

ACTIONS = screen_actions(
    "Close look",
    ("close", "", "escape,enter,q", "Back", "Back to the workbench", "back"),
    ("step.down", "1", "down,j", "Next prompt", "The next prompt of the run", "prompt"),
    ("step.up", "-1", "up,k", "Previous prompt", "The previous prompt of the run", ""),
    ("walk.right", "1", "right,l", "Next token", "Attention of the next token", "token"),
    ("walk.left", "-1", "left,h", "Previous token", "Attention of the previous token", ""),
    (
        "colour",
        "",
        "c",
        "What colours the tokens",
        "Size of the output, attention, or projection on its code",
        "colour",
    ),
    (
        "order",
        "",
        "g",
        "By code or original order",
        "Group the prompts by code, or list them in their original order",
        "order",
    ),
    ("seed", "", "s", "Codes of the next seed", "Tokens written by the codes of the next seed", "seed"),
    (
        "through",
        "",
        "t",
        "Through whom",
        "What it does through each later node, measured exactly; again: back",
        "through",
    ),
    (
        "steer",
        "",
        "d",
        "Steer",
        "Add a code's direction, turn it off, or keep a circuit alone: what is said then",
        "steer",
    ),
    ("explain", "", "x", "Explain its code", "Shortest prompts that keep it, and how well they predict it", "explain"),
    ("atlas", "", "F,shift+f", "On ordinary text", "Its kind, contexts; who attends to the token at hand", ""),
    ("rank.next", "1", "right_square_bracket", "Next head of the ranking", "The next weaker head", "head"),
    ("rank.previous", "-1", "left_square_bracket", "Previous head of the ranking", "The next stronger head", ""),
)
_NAMED = 3
"""Maximum tokens listed that the selected token attends to."""
_NO_WEIGHTS = "This run's SAE weights are not on this machine: it was imported without them."
_OTHERS_AFTER_S = 0.5
"""Seconds until the other visible prompts of the head are fetched, too."""
_WIDEST = 12
"""Maximum columns of a token above the attention."""
_KEPT = 160
"""Maximum cached inspections: a screen of prompts for a few heads."""
Fetch = Callable[[GetHeadInspection], Awaitable[HeadInspection | Failure]]


class TokenView(TokenWidget):
    """The coloured tokens of the prompt, and its attention matrix if there is room."""

    def lines(self, size: Size, /) -> list[Strip]:
        look = self.inspector.look
        if look is None:
            return [
                self.line().add(" asking the model …" if self.inspector.key else " No run to inspect.", "dim").strip()
            ]
        if isinstance(look, Failure):
            words = wrap(f"{look.message} {look.hint}", size.width - 2, 6)
            return [self.line().add(f" {row}", "bad").strip() for row in words]
        lines = [*self._tokens(look, size.width), self.line().add(f" {self._colouring()}", "faint").strip()]
        room = size.height - len(lines) - 1
        pattern = self._pattern(look, size.width, room)
        return [*lines, Strip.blank(0), *pattern]

    def _colouring(self) -> str:
        words = WORDS[self.inspector.colouring]
        return words.replace("coloured by", "bold, then reversed:") if self.inspector.depth in ("16", "none") else words

    def _tokens(self, look: HeadInspection, width: int) -> list[Strip]:
        shares, chosen = self.inspector.shares(look), self.inspector.chosen_token(look)
        lines: list[StyledLine] = [self.line().add(" ")]
        if look.skipped:
            lines[0].add(f"… {look.skipped} earlier tokens … ", "faint")
        for place, token in enumerate(look.tokens):
            text = clean(token) or "␣"
            if lines[-1].width + cell_len(text) > width - 1:
                lines.append(self.line().add(" "))
            style = self.shade(shares[place])
            marked = style + Style(underline=True, bold=True) if place == chosen else style
            lines[-1].add_styled(fit(text, width - 2), marked)
        return [line.strip() for line in lines]

    def _pattern(self, look: HeadInspection, width: int, room: int) -> list[Strip]:
        """Draw the attention matrix if it fits, else the strongest attention of the selected token."""
        n, chosen = len(look.tokens), self.inspector.chosen_token(look)
        label = 12
        longest = max((cell_len(clean(token).strip()) for token in look.tokens), default=0)
        widest = min(max(longest + 1, 4), _WIDEST)
        cell = max(1, min(widest, (width - 1 - label) // max(n, 1)))
        if n <= room - 2 and label + cell * n <= width - 1:
            lines = [self._looks_at(look, chosen, width), *self._columns(look, label, cell)]
            for row, values in enumerate(look.attention):
                on = row == chosen
                line = self.line().add("▸" if on else " ", "accent")
                line.add(fit(clean(look.tokens[row]).strip(), label - 3), "strong" if on else "dim").to(label)
                for value in values:
                    if self.inspector.depth in ("16", "none"):
                        line.add(SHADES[_shade(value)] * cell, "text")
                    else:
                        line.add_styled(" " * cell, self.shade(value))
                lines.append(line.strip())
            return lines
        weights = look.attention[chosen] if chosen < len(look.attention) else ()
        best = _strongest(weights)[: max(room - 1, 0)]
        head = self.line().add(" ").add(fit(clean(look.tokens[chosen]).strip(), 16), "strong")
        lines = [head.add(" attends to", "dim").strip()]
        for place in best:
            line = self.line().add(f" {format_fixed(weights[place]):>5} ", "text")
            done, rest = bar(weights[place], 16)
            line.add(done, "accent").add(" " * len(rest)).add(f"  {fit(clean(look.tokens[place]).strip(), 24)}", "text")
            lines.append(line.add(f"  token {place + look.skipped + 1}", "faint").strip())
        return lines if n else []

    def _looks_at(self, look: HeadInspection, chosen: int, width: int) -> Strip:
        """Format what the selected token attends to."""
        weights = look.attention[chosen] if chosen < len(look.attention) else ()
        line = self.line().add(" attention, rows attend to columns: ", "faint")
        line.add(fit(clean(look.tokens[chosen]).strip(), 16), "strong").add(" attends to ", "faint")
        for place in _strongest(weights)[:_NAMED]:
            token = fit(clean(look.tokens[place]).strip(), 16)
            if weights[place] >= 0.1 and line.width + cell_len(token) + 6 < width:
                line.add(token, "accent").add(f" {format_fixed(weights[place])}  ", "dim")
        return line.strip()

    def _columns(self, look: HeadInspection, label: int, cell: int) -> list[Strip]:
        """Return the column header with the starts of the tokens."""
        line = self.line().to(label)
        for place, token in enumerate(look.tokens, start=1):
            if cell > 2:
                line.add(take_cells(clean(token).strip(), cell - 1), "faint")
            line.to(label + cell * place)
        return [line.strip()]


class CodeTokenList(LineWidget):
    """Tokens that the decoder directions of the head's codes raise and lower."""

    def __init__(self, inspector: InspectorState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(inspector.state, id=id)
        self.inspector = inspector

    def lines(self, size: Size, /) -> list[Strip]:
        look = self.inspector.look
        if not isinstance(look, HeadInspection):
            return []
        if not look.writes:
            words = "This run stored no codes."
            if look.code is not None:
                codes = self.state.head_codes()
                speaks = isinstance(codes, HeadCodes) and any(code != NO_CODE for code in codes.codes)
                words = _NO_WEIGHTS if speaks else "The head is silent on all prompts."
            return [self.line().add(f" {words}", "dim").strip()]
        lines = [self.line().add(" code   raises", "faint").to(size.width // 2 + 4).add("lowers", "faint").strip()]
        for each in look.writes[: size.height - 1]:
            on = each.code == look.code
            line = self.line().add("▸" if on else " ", "accent").add(f"{each.code:>4}  ", "strong" if on else "dim")
            half = size.width // 2 + 3
            self._add(line, each.raises, half - 1, "positive" if on else "dim")
            self._add(line.to(half).add(" "), each.lowers, size.width - 1, "negative" if on else "faint")
            lines.append(line.strip())
        return lines

    def _add(self, line: StyledLine, tokens: Sequence[tuple[str, float]], end: int, ink: str) -> None:
        for token, _ in tokens:
            text = clean(token).strip() or "␣"
            if line.width + cell_len(text) + 1 > end:
                return
            line.add(f"{text} ", ink)


class HeadInspectorScreen(NodeScreen):
    """The screen: prompts left; tokens, attention and places of the selected one right, tokens of the codes below."""

    CSS_PATH = "head_inspector.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        state: WorkbenchState,
        depth: Depth,
        fetch: Fetch,
        fetch_part: FetchPart,
        want_codes: Callable[[], object] = lambda: None,
        reopen: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(state, depth, fetch_part, want_codes, reopen)
        self.inspector = InspectorState(state, depth)
        self._fetch, self._fetch_part = fetch, fetch_part
        self.atlas = AtlasState(state)
        self._others: Timer | None = None
        self._asked: Key | None = None
        self.prompts = PromptList(self.inspector, id="prompts")
        self.tokens = TokenView(self.inspector, id="tokens")
        self.places = PlacesStrip(state, depth, lambda: self.inspector.example, self._place, id="places")
        self.writes = CodeTokenList(self.inspector, id="writes")

    def compose(self) -> ComposeResult:
        with Horizontal(id="close"):
            yield self.prompts
            with Vertical():
                yield self.tokens
                yield self.places
                yield self.writes
                yield self.through
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.prompts.border_title = "Prompts by code"
        self._asked = self.inspector.key

    def paint(self) -> None:
        head = self.state.cursor
        if self.leaves():
            return
        if self.inspector.key != self._asked:
            # The cursor or the shown run has changed.
            self._asked = self.inspector.key
            self.want_soon()
        view = self.state.view()
        look = self.inspector.look
        code = look.code if isinstance(look, HeadInspection) else None
        coded = "" if code is None else (" silent," if code == NO_CODE else f" code {code},")
        place = None if view is None else view.rank_of(head)
        rank = "" if place is None else f" · rank {place} by {self.state.measure.title}"
        where = f" on prompt {self.inspector.example + 1} ·{coded}"
        self.tokens.border_title = Content(f"{format_head_title(self.state)}{where} seed {self.state.seed}{rank}")
        self.places.border_title = Content(f"{head} replaced at one token alone")
        self.writes.border_title = Content(self._on_text())  # Textual shortens it to what there is room for
        for part in (self.prompts, self.tokens, self.places, self.writes):
            part.paint()
        self.paint_through()

    def _on_text(self) -> str:
        """Say what kind of head it is on ordinary text, and whether it does something else here."""
        node = self.state.cursor
        text, unlike = self.atlas.on_text(node), self.atlas.unlike(node)
        if text is None:
            return "What its codes write"
        words = f"What its codes write · on ordinary text: {format_kinds(text.metrics) or 'no clear habit'}"
        return words + (f" · ! {unlike[0]}" if unlike else "")

    def action_atlas(self) -> None:
        """Open the atlas on this head; the token at hand is what heads can be searched by."""
        from tui.screens.atlas import AtlasScreen

        look = self.inspector.look
        place = None
        if isinstance(look, HeadInspection):
            place = len(look.tokens) - 1 - self.inspector.chosen_token(look)
        atlas = AtlasScreen(self.state, self.inspector.depth, self._fetch_part, self._want_codes, place)
        self.app.push_screen(atlas, lambda _: self.moved())

    def _place(self) -> int | None:
        """Return the position of the selected token in the whole prompt; None while the prompt is not here."""
        look = self.inspector.look
        return self.inspector.chosen_token(look) + look.skipped if isinstance(look, HeadInspection) else None

    @property
    def example_shown(self) -> int:
        return self.inspector.example

    def action_step(self, by: int) -> None:
        self.inspector.step(by)
        self.moved()

    def action_order(self) -> None:
        self.inspector.by_code = not self.inspector.by_code
        self.paint()

    def action_walk(self, by: int) -> None:
        look = self.inspector.look
        if isinstance(look, HeadInspection):
            self.inspector.token = min(max(self.inspector.chosen_token(look) + by, 0), len(look.tokens) - 1)
            self.paint()

    def action_colour(self) -> None:
        self.inspector.colouring = COLOURINGS[(COLOURINGS.index(self.inspector.colouring) + 1) % len(COLOURINGS)]
        self.paint()

    def action_seed(self) -> None:
        self.state.seed_index += 1
        self.moved()

    def on_line_picked(self, message: LinePicked) -> None:
        self.inspector.example, self.inspector.token = message.place, None
        self.moved()

    # ---- fetching

    def wanted(self) -> Wanted:
        return [*self.places.wanted, *self.atlas.stored, *super().wanted()]

    def want(self) -> None:
        self._asked = self.inspector.key
        if self.inspector.key is not None and self.inspector.look is None:
            run_latest(self, "look", partial(self._ask, self.inspector.key))
        super().want()
        if self._others is not None:
            self._others.stop()
        self._others = self.set_timer(_OTHERS_AFTER_S, self._want_others)

    def _want_others(self) -> None:
        run_latest(self, "others", self._ask_others)

    async def _ask_others(self) -> None:
        """Fetch the visible prompts one by one until the head or prompt changes."""
        while self.is_current and isinstance(self.inspector.look, HeadInspection):
            keys = (self.inspector.key_of(example) for example in self.prompts.in_sight)
            key = next((key for key in keys if key is not None and key not in self.inspector.looks), None)
            if key is None:
                return
            await self._ask(key)

    async def _ask(self, key: Key) -> None:
        run, layer, head, example, seed = key
        found = await self._fetch(GetHeadInspection(run=run, layer=layer, head=head, example=example, seed=seed))
        while len(self.inspector.looks) >= _KEPT:
            del self.inspector.looks[next(iter(self.inspector.looks))]
        self.inspector.looks[key] = found
        self.paint()


def _strongest(weights: Sequence[float]) -> list[int]:
    """Return the indices sorted by decreasing weight."""
    return sorted(range(len(weights)), key=lambda place: (-weights[place], place))


def _shade(value: float) -> int:
    return 0 if value < 0.02 else min(len(SHADES) - 1, 1 + int(value * (len(SHADES) - 1)))
