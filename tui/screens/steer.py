"""Steering: the next token before and after, the dose-response curve, and new tokens at every strength."""

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.analysis.effects import METRIC_WORDS
from engine.errors import Failure
from engine.nodes import names
from engine.steering import SteerPlan, SteerResult, format_plan, summarise
from sessions.events import SteeringRecorded
from sessions.protocol import Steering
from tui.actions import screen_actions
from tui.output.dose_strip import dose_strip, effect_span, exceeds, format_summary
from tui.output.effects import format_signed
from tui.output.steer import format_cost, text_label
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.screens.sub_screen import SubScreenKeys
from tui.state.number_text import format_fixed
from tui.state.steering import CHOICES, WHERES, SteerChoice, SteerState
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.line_widget import LineWidget
from tui.widgets.places_strip import SignedWidget, failure_lines
from tui.widgets.styled_line import StyledLine, fit, one_line, wrap

ACTIONS = screen_actions(
    "Steering",
    ("close", "", "escape,d,q", "Back", "Back to the page of the node; what was measured is recorded", "back"),
    ("measure", "", "enter,r", "Measure and record", "Curve, new tokens and what text loses, recorded", "measure"),
    ("kind.next", "1", "m", "Another kind", "A code, a contrast, of the stream, nodes off, a circuit alone", "kind"),
    ("kind.previous", "-1", "M,shift+m", "The kind before", "By what is steered: the one before", ""),
    ("strength.up", "1", "right,l", "Stronger", "The next strength of the answer shown", "strength"),
    ("strength.down", "-1", "left,h", "Weaker", "The strength before; below 0 the direction is taken away", ""),
    ("code.next", "1", "down,j", "Next code", "The next code of the node", "code"),
    ("code.previous", "-1", "up,k", "Previous code", "The code before", ""),
    ("where", "", "w", "At which tokens", "At every token, at the last, or while generating", "where"),
    ("prompt.next", "1", "n", "Next prompt", "The next prompt of the run", "prompt"),
    ("prompt.previous", "-1", "N,shift+n", "Previous prompt", "The previous prompt of the run", ""),
    ("recorded.older", "1", "left_square_bracket", "Older measurement", "What was recorded before", "recorded"),
    ("recorded.newer", "-1", "right_square_bracket", "Newer measurement", "What was recorded after", ""),
)
_WORDS: dict[SteerChoice, str] = {
    "code": "code",
    "contrast": "contrast",
    "stream": "contrast of the stream",
    "off": "off",
    "only": "alone",
}
_WHERE_WORDS = {"all": "every token", "last": "last token", "generated": "while generating"}
_TOKEN = 14
_STRIP = 12
"""Fewest cells of a strength's strip."""


class SteerView(SignedWidget):
    """What is steered, and the next token before and after."""

    def __init__(self, steer: SteerState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(steer.state, id=id)
        self.steer, self.depth = steer, depth

    def lines(self, size: Size, /) -> list[Strip]:
        steer, width = self.steer, size.width
        found = steer.found
        lines = (
            self._recorded(found.plan, width)
            if steer.shown is not None and isinstance(found, SteeringRecorded)
            else self._choices(width)
        )
        if isinstance(found, Failure):
            return [line.strip() for line in lines] + failure_lines(self.line, found, size)
        if found is None:
            lines.append(self.line().add(f" {fit(self._waiting(), width - 2)}", "dim"))
            return [line.strip() for line in lines]
        result = found.result
        lines += [self.line().add(f" {row}", "text") for row in wrap(result.prompt, width - 2, 2)]
        lines += self._table(result, width)
        return [line.strip() for line in lines[: size.height]]

    def _waiting(self) -> str:
        if self.steer.plan is None:
            what = "the run stored no codes of it" if self.steer.choice == "code" else "no nodes are marked"
            return f"Nothing to steer by: {what}. m: another kind."
        return self.state.parts.format_wait(self.steer.request, "predicting")

    def _recorded(self, plan: SteerPlan, width: int) -> list[StyledLine]:
        steer = self.steer
        title = f" recorded {len(steer.recorded) - (steer.shown or 0)} of {len(steer.recorded)}, newest first"
        words = wrap(format_plan(plan), width - 2, 2)
        return [self.line().add(fit(title, width), "dim"), *(self.line().add(f" {row}", "strong") for row in words)]

    def _choices(self, width: int) -> list[StyledLine]:
        steer = self.steer
        kind = self.line().add(" by     ", "dim")
        for choice in CHOICES:
            if kind.width + len(_WORDS[choice]) + 3 < width:
                kind.add(f" {_WORDS[choice]} ", "cursor" if choice == steer.choice else "dim").add(" ")
        lines = [kind]
        if steer.choice == "code":
            codes = self.line().add(" code   ", "dim")
            for code in steer.codes:
                if codes.width + 6 < width:
                    codes.add(f" {code} ", "cursor" if code == steer.code else "dim")
            lines.append(codes)
        elif steer.choice in ("off", "only"):
            nodes = " ".join(names(steer.off if steer.choice == "off" else steer.circuit))
            lines.append(self.line().add(" nodes  ", "dim").add(fit(nodes, width - 9), "strong"))
        if steer.directed and steer.plan is not None:
            lines.append(self.line().add(" times  ", "dim").add(f" {steer.plan.strength:+g} ", "strong"))
        where = self.line().add(" at     ", "dim")
        for each in WHERES:
            where.add(f" {_WHERE_WORDS[each]} ", "cursor" if each == steer.where else "dim").add(" ")
        return [*lines, where]

    def _table(self, result: SteerResult, width: int) -> list[StyledLine]:
        unit = f", strength 1 is {result.unit:.3g} long" if result.unit else ""
        head = self.line().add(f" {'next token':<{_TOKEN}} before     after      change", "faint")
        lines = [self.line().add(fit(f" KL divergence {result.kl:.3g} nats{unit}", width - 1), "dim"), head]
        largest = max((abs(each.after - each.before) for each in result.next_tokens), default=0.0)
        for each in result.next_tokens:
            change = each.after - each.before
            line = self.line().add(f" {fit(one_line(each.token).strip() or '␣', _TOKEN - 1)}", "strong").to(_TOKEN + 1)
            line.add(f" {format_fixed(each.before, 3):>5} {f'#{each.rank_before}':<5}", "text")
            line.add(f"{format_fixed(each.after, 3):>5} {f'#{each.rank_after}':<5}", "text")
            text = f"{'+' if change > 0 else ''}{format_fixed(change, 3)}"
            line.add_styled(f"{text:>7} ", self.signed(change, largest))
            lines.append(line)
        return lines


class DoseView(LineWidget):
    """The curve on the band of random directions, the new tokens, and what ordinary text loses."""

    def __init__(self, steer: SteerState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(steer.state, id=id)
        self.steer = steer

    def lines(self, size: Size, /) -> list[Strip]:
        steer, width = self.steer, size.width
        if steer.measuring is not None and steer.shown is None:
            words = self.state.parts.format_wait(steer.measuring, "measuring the curve and generating")
            return [self.line().add(f" {row}", "dim").strip() for row in wrap(words, width - 2, 3)]
        if steer.failure is not None and steer.shown is None:
            return failure_lines(self.line, steer.failure, size)
        found = steer.found
        if not isinstance(found, SteeringRecorded) or not (found.result.points or found.result.texts):
            words = (
                "enter: measure how the answer changes with the strength, beside twenty random directions of the same "
                "length, generate, and record it."
                if steer.directed
                else "enter: generate without and with, and record it."
            )
            return [self.line().add(f" {row}", "dim").strip() for row in wrap(words, width - 2, 4)]
        lines = self._curve(found, width) if found.result.points else []
        lines += self._texts(found, width, max(size.height - len(lines) - 3, 3))
        if found.result.cost is not None:
            lines += [self.line().add(f" {row}", "dim") for row in wrap(format_cost(found.result.cost), width - 2, 3)]
        return [line.strip() for line in lines[: size.height]]

    def _curve(self, found: SteeringRecorded, width: int) -> list[StyledLine]:
        plan, result = found.plan, found.result
        of = "" if result.metric == "kl" else f" of {result.base:.3g}"
        words = f" {METRIC_WORDS.get(result.metric, result.metric)}{of}, {result.prompts} prompts"
        lines = [self.line().add(fit(f"{words}; ░ {plan.random} random directions", width - 1), "dim")]
        span = effect_span(result.points)
        for point in result.points:
            line = self.line().add(f" {point.strength:>+5g} ", "strong" if point.strength == plan.strength else "dim")
            line.add(f"{format_signed(point.effect):>6} ", "text")
            for text, ink in dose_strip(point, span, max(width - line.width - 10, _STRIP)):
                line.add(text, ink)
            lines.append(line.add(" outside" if point.outside else "", "good"))
        summary = summarise(result.points)
        if summary is not None:
            ink = "good" if exceeds(summary) else "text"
            lines += [
                self.line().add(f" {row}", ink) for row in wrap(format_summary(summary, plan.control), width - 2, 3)
            ]
        return lines

    def _texts(self, found: SteeringRecorded, width: int, room: int) -> list[StyledLine]:
        """Draw the new tokens: as it is and at the strength shown first, where not all have room."""
        plan, texts = found.plan, found.result.texts
        if not texts:
            return []
        chosen = sorted(texts, key=lambda each: (each.strength not in (0.0, plan.strength), each.strength))
        lines = [self.line()]
        for each in chosen:
            rows = wrap("".join(each.tokens), max(width - 12, 8), 2)
            if len(lines) + len(rows) > room:
                break
            for place, row in enumerate(rows or [""]):
                label = text_label(each.strength, plan.kind) if not place else ""
                shown = each.strength in (0.0, plan.strength) or not found.result.points
                lines.append(self.line().add(f" {label:>8}  ", "dim").add(row, "text" if shown else "dim"))
        if not found.result.cached:
            lines.append(self.line().add(" computed whole: kept keys and values gave other answers", "faint"))
        return lines


class SteerScreen(MeasuredScreen):
    """The screen; the next token is asked for while one moves, the curve on request."""

    CSS_PATH = "steer.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, depth: Depth, fetch: FetchPart, example: int) -> None:
        super().__init__(state, fetch)
        self.steer = SteerState(state, example)
        self.view = SteerView(self.steer, depth, id="steer")
        self.doses = DoseView(self.steer, id="doses")

    def compose(self) -> ComposeResult:
        with Container(id="steering"):
            yield self.view
            yield self.doses
        yield SubScreenKeys(self.state, self.actions)

    def wanted(self) -> Wanted:
        return [(self.steer.measuring, Steering), (None if self.steer.found else self.steer.request, Steering)]

    def paint(self) -> None:
        steer = self.steer
        if steer.measuring is not None and steer.measuring in self.state.parts.answers:
            steer.measuring = None
        self.view.border_title = Content(f"Steer {steer.node} on prompt {steer.example + 1}")
        self.doses.border_title = Content("Dose and response")
        self.view.paint()
        self.doses.paint()

    def action_measure(self) -> None:
        request = self.steer.request_of(self.steer.whole_plan, record=True)
        if request is not None and self.steer.measuring is None:
            self.state.parts.forget_failures()
            self.steer.shown = None
            if request not in self.state.parts.answers:
                self.steer.measuring = request
            self.moved()

    def action_kind(self, by: int) -> None:
        self.steer.turn(by)
        self.moved()

    def action_strength(self, by: int) -> None:
        self.steer.step_strength(by)
        self.moved()

    def action_code(self, by: int) -> None:
        self.steer.step_code(by)
        self.moved()

    def action_where(self) -> None:
        self.steer.turn_where()
        self.moved()

    def action_prompt(self, by: int) -> None:
        self.steer.step_prompt(by)
        self.moved()

    def action_recorded(self, by: int) -> None:
        self.steer.step_recorded(by)
        self.paint()
