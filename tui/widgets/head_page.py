"""The page of the head at the cursor: every measure, and its codes with their prompts."""

import re
from itertools import zip_longest

from textual.content import Content
from textual.geometry import Offset, Size
from textual.strip import Strip

from engine.analysis.effects import FIELD, primary
from engine.errors import Failure
from engine.examples import Example
from engine.measures import MEASURES, Measure, intensity, value_of
from engine.results import NO_CODE, NodeScores
from engine.steering import format_plan, summarise
from sessions.rows import HeadCodes
from tui.actions import screen_actions
from tui.output.effects import format_base, format_effect, format_signed
from tui.state.grid_view import GridView, brightest_value, decimals_of
from tui.state.head_details import HeadInRun, RankingCache, edges_of, group_by_code, leave_one_out
from tui.state.node_signs import KNOWN
from tui.state.notes import list_notes_at, list_notes_in_other_runs
from tui.state.number_text import format_fixed, format_number
from tui.state.workbench_state import SessionRun, WorkbenchState
from tui.widgets import difference_text
from tui.widgets.action_keys import ActionKeys
from tui.widgets.example_list import format_answer
from tui.widgets.line_widget import ScrollingLineWidget
from tui.widgets.styled_line import StyledLine, bar, fit, fit_end, one_line, wrap
from tui.widgets.titled_pane import TitledPane
from tui.widgets.tooltips import measure_tip

_TWO_COLUMNS = 76
_PROMPTS_OF_UNIQUE = 6
_PROMPTS_OF_SHARED = 2
_NAME_WIDTH = 24
_LEFT_OUT = 4
"""Examples per side that are listed under "leave one out"."""
_NOTES, _NOTE_LINES = 4, 5
"""Maximum notes shown on a head, and lines of each."""
_STEERINGS = 3
"""Maximum measurements of steering shown on a head."""
_CODE_ROW = re.compile(r"(?:^|│) +(\d+) +\d+ +\d+(?:  only [+-])? *$")
"""A code with its counts on both sides."""
_PAST = 8
"""Maximum runs of the session listed for the head."""


ACTIONS = screen_actions(
    "Head page",
    ("scroll_up", "", "up", "Up", "One line up", ""),
    ("scroll_down", "", "down", "Down", "One line down", ""),
    ("page_up", "", "pageup", "Page up", "One page up", ""),
    ("page_down", "", "pagedown", "Page down", "One page down", ""),
    ("scroll_home", "", "home", "To the top", "To the first line", ""),
    ("scroll_end", "", "end", "To the end", "To the last line", ""),
)


class HeadPage(ScrollingLineWidget, TitledPane, ActionKeys):
    """Read-only page that scrolls with the arrows while it has the focus."""

    actions = ACTIONS

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self._pasts = RankingCache()
        self._largest: tuple[object, dict[str, float]] = (None, {})

    def lines(self, size: Size, /) -> list[Strip]:
        width = size.width
        state = self.state
        view, run = state.view(), state.shown
        node = view.by_head.get(state.cursor) if view is not None else None
        if view is None or node is None or run is None:
            words = "Nothing to show before the first scores." if state.link == "live" else ""
            return [self.line().strip(), self.line().add(f" {words}", "dim").strip()]
        if width >= _TWO_COLUMNS:
            left_width = 42
            left = [*self._measures(view, node, run, left_width), *self._beyond(view, node, run, left_width)]
            right = self._codes(run, width - left_width - 2)
            return [self._beside(a, b, left_width) for a, b in zip_longest(left, right)]
        parts = (self._measures(view, node, run, width), [self.line()], self._codes(run, width))
        return [line.strip() for part in (*parts, self._beyond(view, node, run, width)) for line in part]

    def tip_at(self, place: Offset, /) -> Content | None:
        """Return the tooltip of the measure in this line."""
        row = place.y + self.scroll_offset.y
        if row >= len(self._strips) or place.x >= 42:
            return None
        text = self._strips[row].text[:42].lstrip(" ▸·")
        named = [each for each in MEASURES if text.startswith(_name_of(each))]
        return measure_tip(self.state, max(named, key=lambda each: len(_name_of(each)))) if named else None

    def code_spots(self) -> list[tuple[int, int, int]]:
        """Return the first example of each code in sight, with the column and line of the screen of the code."""
        codes, room = self.state.head_codes(), self.scrollable_content_region
        if not isinstance(codes, HeadCodes) or not self.display:
            return []
        groups = group_by_code(codes.codes, [each.positive for each in self.state.examples])
        first = {row.code: row.examples[0] for row in groups}
        found = []
        for y, strip in enumerate(self._strips[self.scroll_offset.y :][: room.height]):
            row = _CODE_ROW.search(strip.text)
            if row is not None and int(row[1]) in first:
                found.append((first[int(row[1])], room.x + max(row.start(1) - 3, 0), room.y + y))
        return found

    def _beside(self, left: StyledLine | None, right: StyledLine | None, width: int) -> Strip:
        first = (left or self.line()).to(width).add("│ ", "groove").strip()
        return Strip.join([first, right.strip()]) if right is not None else first

    # ---- measures

    def _measures(self, view: GridView, node: NodeScores, run: SessionRun, width: int) -> list[StyledLine]:
        lines = [self._standing(view, node)]
        against = self.state.against()
        if against is not None:
            rows = difference_text.make_page_rows(self.line, against, node, view.measure, width)
            if not against.member:
                return [*lines, *rows]
            lines += rows
        lines.extend(
            self._measure(view, node, measure, run, width)
            for measure in MEASURES
            if not (measure.baseline or measure.cause)
        )
        lines.append(
            self.line().add("   silent on ", "dim").add(f"{node.silent:.0%}", "text").add(" of examples", "dim")
        )
        lines.extend(self._notes(width))
        lines.extend(self._steerings(run, width))
        lines.append(self.line().add(" without an SAE ", "faint").to(width - 1, "┄", "groove"))
        lines.extend(self._measure(view, node, measure, run, width) for measure in MEASURES if measure.baseline)
        return lines + self._cause(view, node, run, width)

    def _cause(self, view: GridView, node: NodeScores, run: SessionRun, width: int) -> list[StyledLine]:
        """Make the rows of the measured effects, by method, with what they were measured on."""
        lines: list[StyledLine] = []
        shown, base = primary(run.picture.causes), ""
        for cause in sorted(run.picture.causes, key=lambda each: shown[each.method] is not each):
            effect = next((one for one in cause.effects if (one.layer, one.head) == node.id), None)
            other = shown[cause.method] is not cause
            if effect is None and other:
                continue  # measured otherwise, and only for other heads
            measure = next(each for each in MEASURES if each.id == FIELD[cause.method])
            if not lines:
                lines.append(self.line().add(" effects ", "faint").to(width - 1, "┄", "groove"))
            if base != (base := format_base(cause)):
                lines.append(self.line().add(f"   {fit(base, width - 4)}", "dim"))
            on = measure is view.measure and not other
            line = self.line().add(" ▸ " if on else "   ", "accent").add(measure.title, "strong" if on else "dim")
            line.to(min(_NAME_WIDTH, width - 16))
            words = "not measured" if effect is None else format_effect(effect, cause)
            lines.append(line.add(fit(words, width - line.width - 1), "text" if effect is not None else "faint"))
        return lines

    def _standing(self, view: GridView, node: NodeScores) -> StyledLine:
        line, place = self.line().add(f" {node.id}", "strong"), view.rank_of(node.id)
        if place is None:
            line.add(f"  {view.unranked_reason(node.id)}", "dim")
        else:
            line.add("  rank ", "dim").add(str(place), "strong").add(f" of {view.n_ranked}", "dim")
        if node.id in view.circuit:
            line.add("  in the circuit", "second")
        if node.id in view.known:
            line.add(f"  {KNOWN} {view.reference_label()}", "accent")
        return line

    def _measure(self, view: GridView, node: NodeScores, measure: Measure, run: SessionRun, width: int) -> StyledLine:
        on = measure is view.measure
        value = value_of(node, measure)
        line = self.line().add(" ▸ " if on else "   ", "accent").add(_name_of(measure), "strong" if on else "dim")
        line.to(min(_NAME_WIDTH, width - 16))
        if measure.id == "stability":
            seeds = len(run.config.seeds)
            return line.add(f"{round((value or 0) * seeds)} of {seeds}".rjust(6), "strong" if on else "text").add(
                " seeds", "dim"
            )
        line.add(f"{format_fixed(value, decimals_of(measure)):>6} ", "strong" if on else "text")
        room = min(width - line.width - 2, 12)
        if value is not None and room >= 4:
            share = intensity(value, measure, view.top if on else self._brightest(view, measure)) or 0.0
            done, rest = bar(share, room)
            line.add(done, "accent" if on else "faint").add(" " * len(rest))
        return line

    def _brightest(self, view: GridView, measure: Measure) -> float:
        """Return the largest value over all heads, cached: there may be 5,000 heads and 16 measures."""
        if self._largest[0] is not view.nodes:
            self._largest = (view.nodes, {})
        made = self._largest[1]
        if measure.id not in made:
            values = [value for node in view.nodes if (value := value_of(node, measure)) is not None]
            made[measure.id] = brightest_value(values, measure)
        return made[measure.id]

    def _notes(self, width: int) -> list[StyledLine]:
        """Make the rows of the notes on this head, in this run and in others."""
        lines: list[StyledLine] = []
        numbers = {run.run_id: run.number for run in self.state.runs}
        for note in [*list_notes_at(self.state, "head"), *list_notes_in_other_runs(self.state)][:_NOTES]:
            run = self.state.shown
            there = "" if run is None or note.run_id == run.run_id else f"run {numbers.get(note.run_id or '', '?')}: "
            for row, text in enumerate(wrap(f"{there}{note.text}", width - 6, _NOTE_LINES)):
                lines.append(self.line().add("   ✎ " if row == 0 else "     ", "accent").add(text, "second"))
        return lines

    def _steerings(self, run: SessionRun, width: int) -> list[StyledLine]:
        """Make the rows of what was recorded of steering by this node, the newest first."""
        node = self.state.cursor
        found = [each for each in reversed(run.steerings) if node in each.plan.nodes]
        lines: list[StyledLine] = []
        for each in found[:_STEERINGS]:
            summary = summarise(each.result.points)
            slope = "" if summary is None else f", slope {format_signed(summary.slope)}"
            if summary is not None and summary.p_slope is not None:
                slope += f" (p {format_number(summary.p_slope)}), size (p {format_number(summary.p_size)})"
            text = f"{format_plan(each.plan)}: KL {each.result.kl:.2g}{slope}"
            for row, words in enumerate(wrap(text, width - 6, _NOTE_LINES)):
                lines.append(self.line().add("   » " if row == 0 else "     ", "accent").add(words, "text"))
        return lines

    # ---- edges and past

    def _beyond(self, view: GridView, node: NodeScores, run: SessionRun, width: int) -> list[StyledLine]:
        lines: list[StyledLine] = []
        if run.picture.edges:
            edges = edges_of(node.id, run.picture.edges)
            lines.append(self.line().add(" edges ", "faint").to(width - 1, "┄", "groove"))
            for name, ends in (("from", edges.into), ("to", edges.out)):
                row = self.line().add(f"   {name:<5}", "dim")
                if not ends:
                    row.add(f"none of the best {len(run.picture.edges)}", "faint")
                for other, score in ends:
                    words = f" {other}"
                    if row.width + len(words) + 6 > width:
                        row.add(" …", "faint")
                        break
                    row.add(words, "text").add(f" {format_fixed(score, 0)} ", "dim")
                lines.append(row)
        past = self._past(view, node, run)
        if len(past) > 1:
            lines.append(self.line().add(" in this session ", "faint").to(width - 1, "┄", "groove"))
            for each in past:
                on = each.number == run.number
                row = self.line().add(f"   run {each.number:<3}", "strong" if on else "dim")
                row.add(f"{format_fixed(each.value, decimals_of(view.measure)):>6}", "strong" if on else "text")
                ranked = each.value is not None and node.id.in_circuits
                place = f"  rank {each.rank:<4}" if ranked else " " * 11
                row.add(place, "dim").add("in the circuit" if each.inside else "", "second")
                lines.append(row)
        return lines

    def _past(self, view: GridView, node: NodeScores, run: SessionRun) -> list[HeadInRun]:
        """Return the head in the newest scored runs of the same shape, newest first."""
        found: list[HeadInRun] = []
        for each in reversed(self.state.runs):
            if _shape_of(each) == _shape_of(run) and len(found) < _PAST:
                past: HeadInRun | None = HeadInRun(
                    each.number, view.values[node.id], view.rank[node.id], node.id in view.circuit
                )
                if each is not run:
                    cut = self.state.cut_of(each)
                    past = self._pasts.of(node.id, each.number, each.picture.nodes, view.measure, cut)
                found += [past] if past is not None else []
        return found

    # ---- codes

    def _codes(self, run: SessionRun, width: int) -> list[StyledLine]:
        state = self.state
        codes = state.head_codes()
        title = self.line().add(" codes", "strong").add(f"  seed {state.seed}", "dim")
        if len(run.config.seeds) > 1:
            title.add(f" · {state.key('seed')} next", "faint")
        if isinstance(codes, HeadCodes):
            examples = state.examples
            return [title, *self._table(codes, examples, width), *self._left_out(codes, examples, width)]
        if isinstance(codes, Failure):
            return [title, *(self.line().add(" ").add(row, "dim") for row in wrap(codes.message, width - 2, 4))]
        words = "…" if run.has_codes else ("Available after training." if run.active else "This run stored no codes.")
        return [title, self.line().add(f" {words}", "dim")]

    def _table(self, codes: HeadCodes, examples: tuple[Example, ...], width: int) -> list[StyledLine]:
        lines = [self.line().add("   code    +    -", "dim")]
        for row in group_by_code(codes.codes, [example.positive for example in examples]):
            name = "silent" if row.code == NO_CODE else str(row.code)
            line = self.line().add(f" {name:>6}", "strong" if row.kind < 2 else "text")
            line.add(f"{row.positive:>5}", "positive" if row.positive else "faint")
            line.add(f"{row.negative:>5}", "negative" if row.negative else "faint")
            line.add(("  only +", "  only -", "")[row.kind], ("positive", "negative", "dim")[row.kind])
            lines.append(line)
            most = _PROMPTS_OF_UNIQUE if row.kind < 2 else _PROMPTS_OF_SHARED
            lines.extend(self._prompt(examples[index], width) for index in row.examples[:most])
            if len(row.examples) > most:
                lines.append(self.line().add(f"        and {len(row.examples) - most} more", "faint"))
        return lines

    def _left_out(self, codes: HeadCodes, examples: tuple[Example, ...], width: int) -> list[StyledLine]:
        """Make the rows of single examples whose removal changes the score of this seed."""
        kept = min(len(codes.codes), len(examples))
        score, changed = leave_one_out(codes.codes[:kept], [example.positive for example in examples[:kept]])
        title = self.line().add(" leave one out ", "faint").to(width - 1, "┄", "groove")
        if not changed:
            return [title, self.line().add(f"   unique {score} without any one example", "dim")]
        lines = [title]
        for positive in (True, False):
            these = [each for each in changed if examples[each.example].positive is positive]
            if not these:
                continue
            any_of = "" if len(these) == 1 else f"any of {len(these)}"
            row = self.line().add(f"   unique {score} → {these[0].score}", "text").add(f" without {any_of}", "dim")
            lines.append(row)
            lines.extend(self._prompt(examples[each.example], width) for each in these[:_LEFT_OUT])
            if len(these) > _LEFT_OUT:
                lines.append(self.line().add(f"        and {len(these) - _LEFT_OUT} more", "faint"))
        return lines

    def _prompt(self, example: Example, width: int) -> StyledLine:
        sign, ink = ("+", "positive") if example.positive else ("-", "negative")
        expected = fit(format_answer(example), max(width // 4, 5))
        room = width - 10 - (len(expected) + 3 if expected else 0)
        line = self.line().add(f"      {sign} ", ink).add(fit_end(one_line(example.prompt), room), "dim")
        return line.add(" → ", "faint").add(expected, "dim") if expected else line


def _shape_of(run: SessionRun) -> tuple[int, int] | None:
    """Return layers and heads of a scored run; runs with and without MLPs have the same heads."""
    model = run.picture.model
    return (model.n_layers, model.n_heads) if model is not None and run.picture.nodes else None


def _name_of(measure: Measure) -> str:
    """Return the measure's name on the page."""
    return fit(measure.title.removesuffix(" (no SAE)"), _NAME_WIDTH)
