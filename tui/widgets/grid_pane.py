"""The middle pane: the measure, the grid, its scale, the cut and, if there is room, the ranking."""

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.strip import Strip

from engine.nodes import EMBEDDING, NodeId, format_count
from tui.actions.key_labels import fill_keys
from tui.state.grid_places import GridPlaces
from tui.state.grid_view import GridView, decimals_of
from tui.state.marked_heads import summarise_marked
from tui.state.node_signs import KNOWN
from tui.state.number_text import format_fixed, format_number
from tui.state.subtraction import GridDifference
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.colour_maps import chosen_map
from tui.themes.themes import LEVELS, Depth
from tui.widgets import difference_text, mini_map
from tui.widgets.error_boundary import ErrorBoundary
from tui.widgets.heat_cell import SHADES, SIGNS, palette, signed_palette
from tui.widgets.heat_map import HeatMap
from tui.widgets.line_widget import LineWidget, ScrollingLineWidget, first_visible
from tui.widgets.styled_line import StyledLine, bar, fit, wrap
from tui.widgets.titled_pane import TitledPane
from tui.widgets.tooltips import head_tip, measure_tip, tip
from tui.widgets.top_line import format_grid_title

_CUT_LINE = 2
"""Index of the cut's line below the grid."""
_RANKING_LEAST = 5
"""Minimum lines for which the ranking is shown."""


class MeasureMeaning(LineWidget):
    """Two lines: what the measure means and how to read its values."""

    def lines(self, size: Size, /) -> list[Strip]:
        width = size.width
        measure, view, against = self.state.measure, self.state.view(), self.state.against()
        first, second = self.line().add(" "), self.line().add(" ")
        if against is not None:
            difference_text.add_meaning(first, second, against, measure, width, self.state.key)
            return [first.strip(), second.strip()]
        both = self.state.signs and bool(self.state.marked)
        first.add(fit(SIGNS if both else measure.meaning, width - 2), "second" if both else "dim")
        if view is None:
            second.add(format_no_grid(self.state), "second" if self.state.shown is not None else "dim")
        elif not view.final:
            running = self.state.shown is not None and self.state.shown.active
            words = "provisional ~ still training" if running else "partial ~ the run ended before its final scores"
            second.add(fit(words, width - 2), "second")
        elif self.state.marked:
            self._marked(second, self.state.marked, view, width)
        elif self.state.signs:
            second.add(fit(SIGNS, width - 2), "second")
        else:
            loud = f"{'high' if measure.high_is_evidence else 'low'} values are evidence"
            loud += "; heads and MLPs are ranked apart" if view.ranked_apart else f" for a {view.noun(1)}"
            if cell_len(measure.meaning) > width - 2:
                rows = wrap(f"{measure.meaning}; {loud}", width - 2, 2)
                return [self.line().add(" ").add(row, "dim").strip() for row in rows]
            second.add(fit(loud, width - 2), "faint")
        return [first.strip(), second.strip()]

    def tip_at(self, _place: Offset, /) -> Content | None:
        return measure_tip(self.state, self.state.measure)

    def _marked(self, line: StyledLine, heads: frozenset[NodeId], view: GridView, width: int) -> None:
        """Add the summary of the marked heads, as far as there is room."""
        line.add("‹ › ", "accent")
        for place, words in enumerate(summarise_marked(heads, view)):
            if line.width + len(words) + 5 > width:
                return
            line.add(" · " if place else "", "faint").add(words, "strong" if place == 0 else "dim")


class GridScale(LineWidget):
    """Below the grid: the value at the cursor, the colour scale, the cut and the overlay."""

    def __init__(self, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.depth = depth
        self._slider = range(0)
        """Columns of the cut's slider."""

    class CutMoved(Message):
        """The mouse moved the cut; `share` is of all heads."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and place.y == _CUT_LINE and place.x in self._slider:
            share = (place.x - self._slider.start + 1) / len(self._slider)
            self.post_message(self.CutMoved(share))

    def tip_at(self, place: Offset, /) -> Content | None:
        """Return the tooltip of a line: value at the cursor, colours, cut or overlay."""
        view = self.state.view()
        if view is None or self.state.against() is not None:
            return None
        if place.y == 0:
            return head_tip(self.state, self.state.cursor)
        if place.y == 1:
            ends = f"{format_number(view.measure.floor)} to {format_number(view.top)}"
            words = f"{view.measure.title} from {ends}: no evidence is dark, strong evidence is bright."
            more = f"{format_number(view.top)} is the largest of a head; MLPs and the embedding above it are as bright."
            return tip("The colours", words, more if view.by_heads else "")
        if place.y == _CUT_LINE and place.x < self._slider.stop + 12:
            words = "A click moves it; {cut.fewer} removes the weakest head, {cut.more} adds the next one."
            if view.others:
                words = words.replace("head", "node")
            title = f"The cut: {len(view.circuit)} {view.noun(2)} are the circuit"
            return tip(title, fill_keys(words, self.state.key))
        if view.reference is not None and view.agreement is not None:
            held = view.agreement
            nodes = view.noun(2) if view.reference.covers == "all" else "heads"
            meaning = (
                f"AUC {format_fixed(held.auc)}: how well the whole ranking separates its {nodes} from the others.",
                f"Precision {format_fixed(held.precision)}: share of the {nodes} inside the cut that are in it.",
                f"Recall {format_fixed(held.recall)}: share of its {nodes} that are inside the cut.",
            )
            return tip(f"{KNOWN} {view.reference.name}", view.reference.source, *meaning)
        return None

    def lines(self, size: Size, /) -> list[Strip]:
        width = size.width
        view = self.state.view()
        if view is None:
            return []
        against = self.state.against()
        if against is not None:
            return self._difference(view, against, width)
        return [self._under_cursor(view, width), self._scale(view, width), *self._cut(view, width)]

    def _difference(self, view: GridView, against: GridDifference, width: int) -> list[Strip]:
        first, second, third, fourth = (self.line() for _ in range(4))
        difference_text.add_cursor_values(first, against, view, self.state.cursor)
        dark, name = self.app.current_theme.dark, chosen_map(self.app)
        colours = signed_palette(dark=dark, depth=self.depth, faded=not view.final, name=name)
        difference_text.add_scale(second, against, colours, width)
        third.add(" cut ", "dim").add(str(len(view.circuit)), "strong")
        difference_text.add_agreement(third, fourth, against, width)
        return [line.strip() for line in (first, second, third, fourth)]

    def _under_cursor(self, view: GridView, width: int) -> Strip:
        head = self.state.cursor
        # Fixed columns: for the next head only digits change, and only they are sent.
        places, heads = self.state.places() or GridPlaces(), str(view.n_ranked)
        longest = [NodeId(places.n_layers - 1, places.n_heads - 1), head, *([EMBEDDING] if view.others else [])]
        wide = max(len(str(node)) for node in longest)
        line = self.line().add(f" {head!s:<{wide}} ", "strong")
        value = view.values.get(head)
        line.add(f"{view.measure.title} ", "dim").add(f"{format_number(value):<5}", "strong")
        if head in view.rank:
            place = view.rank_of(head)
            line.add(
                f" {view.unranked_reason(head)}" if place is None else f" rank {place:>{len(heads)}} of {heads}", "dim"
            )
        inside, known = head in view.circuit, head in view.known
        name = f"  {KNOWN} {view.reference_label()}" if known else ""
        if inside:
            # The brackets of the grid stand for the words if there is no room.
            words = "  in the circuit"
            line.add(words if line.width + len(words) + cell_len(name) <= width else "  [ ]", "second")
        return line.add(fit(name, width - line.width), "accent").strip()

    def _scale(self, view: GridView, width: int) -> Strip:
        line = self.line().add(f" {format_number(view.measure.floor, 4)} ", "dim")
        room = max(min(24, width - 44), 8)
        dark, name = self.app.current_theme.dark, chosen_map(self.app)
        colours = palette(dark=dark, depth=self.depth, faded=not view.final, name=name)
        for column in range(room):
            level = column * (LEVELS - 1) // (room - 1)
            if colours.shaded:
                line.add_styled(SHADES[column * (len(SHADES) - 1) // (room - 1)], colours.cells[level])
            else:
                line.add_styled(" ", colours.cells[level])
        line.add(f" {format_number(view.top, 6)}", "dim")
        if view.by_heads and line.width + 13 <= width:
            line.add(" largest head", "dim")
        if line.width + 22 <= width:
            line.add("   [ ] ", "strong").add("circuit", "dim")
        if view.known and line.width + 10 <= width:
            line.add(f"  {KNOWN} ", "strong").add(fit(view.reference_label(), width - line.width - 1), "dim")
        return line.strip()

    def _cut(self, view: GridView, width: int) -> list[Strip]:
        room = max(min(24, width - 50), 8)
        self._slider = range(6, 6 + room)
        done = min(room, max(1, round(view.cut / len(view.order) * room)))
        heads = format_count(view.circuit)
        line = self.line().add(" cut ", "dim").add("[", "faint").add("=" * done, "second").add("|", "strong")
        line.add("-" * (room - done), "faint").add("]", "faint").add(f" {heads}", "text")
        if view.tied and line.width + 9 <= width:
            line.add(f", {view.tied} tie", "dim")
        held = view.agreement
        if held is None:
            return [line.strip(), self.line().add(fit(f" {self._no_overlay()}", width - 1), "faint").strip()]
        assert view.reference is not None
        second = self.line()
        out = line if width - line.width > 42 else second
        for name, value in (("AUC", held.auc), ("precision", held.precision), ("recall", held.recall)):
            if value is not None:
                out.add(f"  {name} " if out.width else f" {name} ", "dim").add(format_fixed(value), "strong")
        against = f" {KNOWN} {clean(view.reference.name)}"
        if out is line:
            against += f": {clean(view.reference.source)}"
        second.add(fit(against, width - second.width - 1), "faint")
        return [line.strip(), second.strip()]

    def _no_overlay(self) -> str:
        run = self.state.shown
        if run is None or not self.state.overlay.there(run.picture, self.state.session.circuits):
            view = self.state.view()
            nodes = "heads" if view is None else view.noun(2)
            return f"no reference yet: {self.state.key('cause')} measures the effects of the {nodes}"
        return f"no overlay: {self.state.key('overlay')} shows a circuit on the grid"


class RankingList(ScrollingLineWidget):
    """The nodes ranked by the measure, best first; those of the circuit are brighter and in brackets."""

    can_focus = False
    first = 0
    """Index of the head in the first line."""

    def lines(self, size: Size, /) -> list[Strip]:
        width, height = size
        view = self.state.view()
        if view is None or height < _RANKING_LEAST - 1:
            return []
        against = self.state.against()
        first = self._first(view if against is None else against, height)
        places = range(first, min(len(view.order), first + height))
        if against is not None:
            return [self._difference(view, against, place, width).strip() for place in places]
        return [self._row(view, place, width).strip() for place in places]

    def _first(self, view: GridView | GridDifference, height: int) -> int:
        """Return the index of the first line: unchanged unless the cursor would be out of sight."""
        rank = view.rank.get(self.state.cursor, 1) - 1
        before = 0 if rank < height - 1 else self.first
        self.first = first_visible(before, rank, height, len(view.order), centre=True)
        return self.first

    def _row(self, view: GridView, place: int, width: int) -> StyledLine:
        head = view.order[place]
        chosen = head == self.state.cursor
        inside = head in view.circuit
        number = str(place + 1) if head.in_circuits else ""
        line = self.line().add(" ▸" if chosen else "  ", "accent").add(f"{number:>3} ", "faint")
        line.add(f"{head!s:<6}", "strong" if chosen else ("text" if inside else "dim"))
        line.add(f"{format_fixed(view.values[head], decimals_of(view.measure)):>7} ", "text" if inside else "dim")
        room = max(min(width - 49, 40), 4)
        filled, rest = bar(view.intensity_of(head) or 0.0, room)
        line.add(filled, "accent" if inside else "faint").add(" " * len(rest))
        frame = "‹›" if head in self.state.marked else "[]"
        frame = "«»" if inside and frame == "‹›" else frame
        shown = inside or head in self.state.marked
        line.add(f" {frame[0]} {frame[1]} " if shown else "     ", "second").add(
            KNOWN if head in view.known else " ", "accent"
        )
        node = view.by_head[head]
        tail = f"  q {format_fixed(node.q_value, 3):>5}  stable {node.stability:>4.0%}"
        return line.add(tail if line.width + len(tail) <= width else "", "dim")

    def _difference(self, view: GridView, against: GridDifference, place: int, width: int) -> StyledLine:
        head = against.order[place]
        chosen, found = head == self.state.cursor, against.differences[head]
        line = self.line().add(" ▸" if chosen else "  ", "accent").add(f"{place + 1:>3} ", "faint")
        line.add(f"{head!s:<6}", "strong" if chosen else "text")
        places = decimals_of(view.measure)
        ink = "dim" if not found else ("positive" if found > 0 else "negative")
        line.add(f"{difference_text.format_signed(found, places):>8} ", ink)
        room = max(min(width - 53, 40), 4)
        filled, rest = bar(abs(found or 0.0) / (against.largest or 1.0), room)
        line.add(filled, ink).add(" " * len(rest))
        line.add(" [ ] " if head in view.circuit else "     ", "second")
        line.add(KNOWN if head in against.circuit else " ", "accent")
        tail = (
            f"  {format_fixed(against.here[head], places):>6} here {format_fixed(against.there[head], places):>6} there"
        )
        return line.add(tail if line.width + len(tail) <= width else "", "dim")

    def tip_at(self, place: Offset, /) -> Content | None:
        view = self.state.against() or self.state.view()
        if view is None or self.first + place.y >= len(view.order):
            return None
        return head_tip(self.state, view.order[self.first + place.y])

    def on_click(self, event: events.Click) -> None:
        view, place = self.state.against() or self.state.view(), event.get_content_offset(self)
        if view is not None and place is not None and self.first + place.y < len(view.order):
            self.post_message(HeatMap.Pointed(view.order[self.first + place.y]))


class GridPane(Vertical, TitledPane, ErrorBoundary):
    """Divides its height between the grid, which has priority, and the ranking."""

    def __init__(self, state: WorkbenchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.state = state
        self.meaning = MeasureMeaning(state, id="meaning")
        self.heatmap = HeatMap(state, depth, id="heatmap")
        self.scale = GridScale(state, depth, id="scale")
        self.ranking = RankingList(state, id="ranking")
        self.minimap = mini_map.MiniMap(state, self.heatmap, id="minimap")
        self.sidemap = mini_map.MiniMap(state, self.heatmap, id="sidemap")
        """The minimap beside the grid, if there is no room below it."""

    def compose(self) -> ComposeResult:
        yield self.meaning
        with Horizontal(id="above"):
            yield self.heatmap
            yield self.sidemap
        yield self.scale
        with Horizontal(id="below"):
            yield self.ranking
            yield self.minimap

    def paint(self) -> None:
        """Draw everything that depends on the scores, the measure or the cut."""
        self.paint_first()
        self.paint_rest()

    def paint_first(self) -> None:
        """Draw what a key must show at once; the ranking follows when no key is pressed."""
        self._share()
        self.meaning.paint()
        self.heatmap.paint()
        self.scale.paint()

    def paint_rest(self) -> None:
        """Draw what can wait until no key is pressed: the ranking and the minimap."""
        self.ranking.paint()
        self._paint_maps()

    def _paint_maps(self) -> None:
        for each in (self.minimap, self.sidemap):
            if each.display:
                each.paint()

    def on_mount(self) -> None:
        for name in ("scroll_x", "scroll_y"):
            self.watch(self.heatmap, name, self._paint_maps, init=False)

    def paint_cursor(self) -> None:
        """Draw what depends on the cursor; the ranking follows when the cursor rests."""
        self.heatmap.move_cursor()
        self.scale.paint()

    def on_resize(self, _event: events.Resize) -> None:
        self._share()

    def _share(self) -> None:
        room = self.size.height - 6
        if room <= 0 or not self.size.width:
            return
        rows = self.heatmap.rows_wanted(room, _RANKING_LEAST, mini_map.HEIGHT)
        self.query_one("#above").styles.height = rows
        below = room - rows >= _RANKING_LEAST
        beyond = not self.heatmap.fits(rows, self.size.width - 1)
        self.minimap.display = below and beyond
        self.sidemap.display = beyond and not below


def format_title(state: WorkbenchState) -> str:
    """Format the pane's title."""
    run = state.shown
    words = format_grid_title(state)
    if run is not None and (run.number > 1 or run.name):
        words += f" · {fit(clean(run.title), 40)}"
    against = state.against()
    return words if against is None else words + difference_text.format_title(against)


def format_no_grid(state: WorkbenchState) -> str:
    """Format why there is no grid."""
    run = state.shown
    if run is None:
        return f"No run yet: {state.key('run')} runs the probe." if state.link == "live" else ""
    if run.active:
        return "The first scores appear while the SAE trains."
    return {"stopped": "Stopped before the first scores.", "failed": "No scores: the run failed."}.get(
        run.state, "This run has no scores."
    )
