"""The verb that steers the model and reads out what that does."""

import msgspec

from engine.steering import SteerPlan, format_plan, summarise
from sessions.protocol import Steering
from tui.output.dose_strip import format_summary
from tui.output.effects import format_signed
from tui.output.steer import format_cost, text_label, token_rows
from tui.plain.workbench import PlainWorkbench
from tui.state.steering import CHOICES, WHERES, SteerState
from tui.terminal.sanitize import clean

_USE = "give a kind (code 17, contrast, stream, off, only), times 4, all, last or generated, and example 2, or list."


class SteerVerbs:
    """The verb `steer`; each measurement is recorded in the run's log."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link

    async def do_steer(self, rest: str) -> None:
        run = self.plain.run_for("close_up")
        words = rest.split()
        if words == ["list"]:
            self.plain.tell([f"{number}: {format_plan(each.plan)}" for number, each in enumerate(run.steerings, 1)])
            if not run.steerings:
                self.plain.say("Nothing is recorded.")
            return
        plan = self._plan(words)
        request = None if plan is None else SteerState(self.state, 0).request_of(plan, record=True)
        if request is None:
            self.plain.refuse(f"steer {rest}: {_USE}")
            return
        self._read_out(await self.link.ask(request, Steering))

    def _plan(self, words: list[str]) -> SteerPlan | None:
        """Return what the words say, else what the screen would begin with; None for words that say nothing."""
        steer = SteerState(self.state, self.state.selected or 0)
        code: int | None = None
        strength: float | None = None
        left = list(words)
        while left:
            word = left.pop(0)
            if word in CHOICES:
                steer.choice = word
                if word == "code" and left and left[0].isdecimal():
                    code = int(left.pop(0))
            elif word in WHERES:
                steer.where = word
            elif word == "times" and left and (number := _number(left[0])) is not None:
                strength = number
                left.pop(0)
            elif word == "example" and left and left[0].isdecimal() and int(left[0]) in steer.prompts:
                steer.example = int(left.pop(0)) - 1
            else:
                return None
        if code is not None:
            steer.own_code = code
        plan = steer.whole_plan
        if plan is None or strength is None or not steer.directed:
            return plan if strength is None else None
        return msgspec.structs.replace(plan, strength=strength)

    def _read_out(self, found: Steering) -> None:
        plan, result = found.steered.plan, found.steered.result
        self.plain.tell([f"note: {clean(notice)}" for notice in result.notices])
        self.plain.say(f"{format_plan(plan)}: KL divergence {result.kl:.3g} nats")
        for token, before, rank, after, rank_after, change in token_rows(result.next_tokens):
            self.plain.say(f"{clean(token)}: {before} {rank} before, {after} {rank_after} after, {change}")
        for point in result.points:
            band = f"; random {format_signed(min(point.random))} to {format_signed(max(point.random))}"
            outside = ", outside" if point.outside else ""
            self.plain.say(
                f"strength {point.strength:+g}: {format_signed(point.effect)}{band if point.random else ''}{outside}"
            )
        summary = summarise(result.points)
        if summary is not None:
            self.plain.say(format_summary(summary, plan.control))
        for text in result.texts:
            self.plain.say(f"{text_label(text.strength, plan.kind)}: {clean(''.join(text.tokens))}")
        if result.cost is not None:
            self.plain.say(format_cost(result.cost))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
