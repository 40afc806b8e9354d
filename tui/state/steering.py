"""State of the steering screen: what is steered, how strongly and where, and what is recorded of it."""

from collections import Counter
from typing import Literal, get_args

import msgspec

from engine.errors import Failure
from engine.nodes import NO_HEAD, NodeId
from engine.results import NO_CODE
from engine.steering import DEFAULT_STRENGTHS, SteerPlan, SteerResult, SteerWhere
from sessions.events import SteeringRecorded
from sessions.protocol import GetSteering, Steering
from sessions.rows import HeadCodes
from tui.state.workbench_state import WorkbenchState

SteerChoice = Literal["code", "contrast", "stream", "off", "only"]
"""The kinds of SteerPlan; stream: a contrast of the whole stream after the node's layer."""
CHOICES: tuple[SteerChoice, ...] = get_args(SteerChoice)
WHERES: tuple[SteerWhere, ...] = ("all", "last", "generated")
STRENGTHS = (-8.0, *DEFAULT_STRENGTHS, 8.0)
_CONTRASTS = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
GENERATED = 30
"""New tokens of a measurement."""


class SteerState:
    """The node at the cursor of the page it was opened from, on one example of the run."""

    def __init__(self, state: WorkbenchState, example: int) -> None:
        self.state = state
        self.example = example
        self.choice: SteerChoice = "code" if self.codes else "contrast"
        self.where: SteerWhere = "all"
        self._code = 0
        """Index into the node's codes."""
        self.own_code: int | None = None
        """A code that was named, also one that the run did not see."""
        self._strength = len(STRENGTHS) - 2
        self.shown: int | None = None
        """Index into what is recorded of the run; None: what is chosen here."""
        self.measuring: GetSteering | None = None
        """The measurement under way, which is recorded when it is done."""

    @property
    def node(self) -> NodeId:
        return self.state.cursor

    @property
    def codes(self) -> tuple[int, ...]:
        """The node's codes: that of the example first, then the most frequent ones."""
        found = self.state.head_codes()
        if not isinstance(found, HeadCodes):
            return ()
        own = found.codes[self.example] if self.example < len(found.codes) else NO_CODE
        ranked = [code for code, _ in Counter(found.codes).most_common() if code not in (NO_CODE, own)]
        return tuple([own, *ranked] if own != NO_CODE else ranked)

    @property
    def code(self) -> int | None:
        if self.own_code is not None:
            return self.own_code
        codes = self.codes
        return codes[min(self._code, len(codes) - 1)] if codes else None

    @property
    def prompts(self) -> range:
        """Numbers of the run's examples, from 1."""
        return range(1, len(self.state.examples) + 1)

    @property
    def circuit(self) -> tuple[NodeId, ...]:
        """What is kept alone: the marked nodes, else the run's circuit at the cut."""
        marked = tuple(sorted(self.state.marked))
        view = self.state.view()
        return marked or (tuple(sorted(view.circuit)) if view is not None else ())

    @property
    def off(self) -> tuple[NodeId, ...]:
        return tuple(sorted(self.state.marked)) or (self.node,)

    @property
    def directed(self) -> bool:
        """True if a direction is added, which has a strength."""
        return self.choice in ("code", "contrast", "stream")

    @property
    def strength(self) -> float:
        return STRENGTHS[self._strength]

    def turn(self, by: int) -> None:
        """Choose another kind."""
        self.choice, self.shown = CHOICES[(CHOICES.index(self.choice) + by) % len(CHOICES)], None

    def turn_where(self) -> None:
        self.where, self.shown = WHERES[(WHERES.index(self.where) + 1) % len(WHERES)], None

    def step_code(self, by: int) -> None:
        self._code, self.shown = min(max(self._code + by, 0), max(len(self.codes) - 1, 0)), None

    def step_strength(self, by: int) -> None:
        self._strength, self.shown = min(max(self._strength + by, 0), len(STRENGTHS) - 1), None

    def step_prompt(self, by: int) -> None:
        self.example = min(max(self.example + by, 0), max(len(self.state.examples) - 1, 0))
        self.shown = None

    def step_recorded(self, by: int) -> None:
        """Walk what is recorded, the newest first; before the newest is what is chosen here."""
        many = len(self.recorded)
        if not many:
            return
        place = many if self.shown is None else self.shown
        place = min(max(place - by, 0), many)
        self.shown = None if place == many else place

    # ---- plans and what is known

    @property
    def plan(self) -> SteerPlan | None:
        """What is chosen, without a curve; None if there is nothing to steer by."""
        if self.state.shown is None:
            return None
        node = (self.node.layer, self.node.head)
        seed, where, example = self.state.seed, self.where, self.example
        match self.choice:
            case "code":
                if self.code is None:
                    return None
                found = SteerPlan(kind="code", nodes=(node,), code=self.code, strength=self.strength)
            case "contrast":
                found = SteerPlan(kind="contrast", nodes=(node,), strength=self._contrast)
            case "stream":
                after = NodeId(max(self.node.layer, 0), NO_HEAD)
                found = SteerPlan(kind="contrast", nodes=(after,), source="stream", strength=self._contrast)
            case "off":
                found = SteerPlan(kind="off", nodes=self.off)
            case "only":
                if not self.circuit:
                    return None
                found = SteerPlan(kind="only", nodes=self.circuit)
        return msgspec.structs.replace(found, seed=seed, where=where, example=example)

    @property
    def _contrast(self) -> float:
        return self.strength / 4

    @property
    def whole_plan(self) -> SteerPlan | None:
        """The same with the curve, new tokens and what ordinary text loses: what is measured and recorded."""
        plan = self.plan
        if plan is None:
            return None
        strengths = DEFAULT_STRENGTHS if plan.kind == "code" else _CONTRASTS
        return msgspec.structs.replace(
            plan,
            strengths=strengths if self.directed else (),
            random=plan.random if self.directed else 0,
            generate=GENERATED,
            cost=plan.where != "last",
        )

    def request_of(self, plan: SteerPlan | None, *, record: bool) -> GetSteering | None:
        run = self.state.shown
        return None if run is None or plan is None else GetSteering(run=run.run_id, plan=plan, record=record)

    @property
    def request(self) -> GetSteering | None:
        """What is shown while nothing is measured: the next token alone, not recorded."""
        return self.request_of(self.plan, record=False)

    @property
    def recorded(self) -> tuple[SteeringRecorded, ...]:
        run = self.state.shown
        return () if run is None else run.steerings

    @property
    def found(self) -> SteeringRecorded | Failure | None:
        """What is known of the choice: recorded with its curve, else the next token; None while that is asked."""
        if self.shown is not None and self.shown < len(self.recorded):
            return self.recorded[self.shown]
        whole = self.whole_plan
        kept = next((each for each in reversed(self.recorded) if each.plan == whole), None)
        if kept is not None:
            return kept
        measured = self.state.parts.get(self.request_of(whole, record=True), Steering)
        if isinstance(measured, Steering):
            return measured.steered  # the log brings it soon
        quick = self.state.parts.get(self.request, Steering)
        return quick.steered if isinstance(quick, Steering) else quick

    @property
    def failure(self) -> Failure | None:
        """Why the last measurement failed."""
        found = self.state.parts.get(self.request_of(self.whole_plan, record=True), Steering)
        return found if isinstance(found, Failure) else None

    @property
    def result(self) -> SteerResult | None:
        found = self.found
        return found.result if isinstance(found, SteeringRecorded) else None
