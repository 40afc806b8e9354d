"""The switch: the next token of a prompt with the marked nodes turned off, beside the next token as it is."""

from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import Failure
from engine.node_parts import NextToken
from engine.nodes import format_count
from sessions.protocol import Ablation
from tui.actions import screen_actions
from tui.output.effects import REPLACED
from tui.screens.measured_screen import MeasuredScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.state.number_text import format_fixed
from tui.state.switched_off import SwitchState
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.places_strip import SignedWidget, failure_lines
from tui.widgets.styled_line import StyledLine, bar, fit, one_line, wrap

ACTIONS = screen_actions(
    "Switch off",
    ("close", "", "escape,z,enter,q", "Back", "Back to the workbench; nothing is recorded", "back"),
    ("kind.next", "1", "m", "By pair, mean or zero", "By what the nodes are replaced: the next of the three", "by"),
    ("kind.previous", "-1", "M,shift+m", "By the one before", "By what the nodes are replaced: the one before", ""),
    ("step.down", "1", "down,j", "Next prompt", "The next prompt of the run", "prompt"),
    ("step.up", "-1", "up,k", "Previous prompt", "The previous prompt of the run", ""),
)
_PROMPT_LINES = 3
_TOKEN = 16


class SwitchView(SignedWidget):
    """The prompt, the nodes, and the table of next tokens."""

    def __init__(self, switch: SwitchState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(switch.state, id=id)
        self.switch, self.depth = switch, depth

    def lines(self, size: Size, /) -> list[Strip]:
        switch, examples = self.switch, self.state.examples
        names = " ".join(map(str, switch.nodes))
        lines = [self.line().add(" off ", "dim").add(fit(names, size.width - 6), "strong")]
        by = self.line().add(" by  ", "dim")
        for kind in ("pair", "mean", "zero"):
            by.add(f" {kind} ", "cursor" if kind == switch.kind else "dim").add(" ")
        lines.append(by.add(fit(REPLACED[switch.kind], size.width - by.width - 1), "faint"))
        if switch.example < len(examples):
            rows = wrap(examples[switch.example].prompt, size.width - 2, _PROMPT_LINES)
            lines += [self.line().add(f" {row}", "text") for row in rows]
        found = switch.found
        if isinstance(found, Failure):
            return [line.strip() for line in lines] + failure_lines(self.line, found, size)
        if found is None:
            words = self.state.parts.format_wait(switch.request, "predicting with the nodes turned off")
            lines.append(self.line().add(f" {fit(words, size.width - 2)}", "dim"))
            return [line.strip() for line in lines]
        if found.other:
            lines.append(
                self.line().add(" values of: ", "faint").add(fit(one_line(found.other), size.width - 14), "dim")
            )
        lines += self._table(found, size.width)
        return [line.strip() for line in lines[: size.height]]

    def _table(self, found: Ablation, width: int) -> list[StyledLine]:
        head = self.line().add(f" {'next token':<{_TOKEN}}   before     after   change", "faint")
        lines = [self.line().add(f" KL divergence {found.kl:.3g} nats", "dim"), head]
        largest = max((abs(each.after - each.before) for each in found.next_tokens), default=0.0)
        for each in found.next_tokens:
            text = one_line(each.token).strip() or "␣"
            line = self.line().add(f" {fit(text, _TOKEN - 1)}", "strong").to(_TOKEN + 1)
            line.add(f" {_share(each.before)} {f'#{each.rank_before}':<5}", "text")
            line.add(f"{_share(each.after)} {f'#{each.rank_after}':<5}", "text")
            line.add_styled(f"{_change(each):>7} ", self.signed(each.after - each.before, largest))
            room = min((width - line.width - 2) // 2, 24)
            if room >= 4:
                for share, ink in ((each.before, "faint"), (each.after, "accent")):
                    done, _ = bar(share, room)
                    line.add(" ").add(done, ink).add(" " * (room - len(done)))
            lines.append(line)
        return lines


class SwitchOffScreen(MeasuredScreen):
    """The screen; a prompt, a marked set and a kind of replacement are asked for once."""

    CSS_PATH = "switch_off.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, depth: Depth, fetch: FetchPart) -> None:
        super().__init__(state, fetch)
        self.switch = SwitchState(state)
        self.view = SwitchView(self.switch, depth, id="switch")

    def wanted(self) -> Wanted:
        return [(self.switch.request, Ablation)]

    def paint(self) -> None:
        count = format_count(self.switch.nodes)
        self.view.border_title = Content(f"{count} off on prompt {self.switch.example + 1}")
        self.view.paint()

    def action_kind(self, by: int) -> None:
        self.switch.turn(by)
        self.moved()

    def action_step(self, by: int) -> None:
        self.switch.step_prompt(by)
        self.moved()


def _share(value: float) -> str:
    return f"{format_fixed(value, 3):>6}"


def _change(each: NextToken) -> str:
    change = each.after - each.before
    return f"{'+' if change > 0 else ''}{format_fixed(change, 3)}"
