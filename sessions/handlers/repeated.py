"""Repeat what was measured on a run after it: effects, edges, circuit checks, steering, explanations of codes."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from engine.analysis.effects import EffectSetting, setting_of
from engine.analysis.run_state import edge_setting_of
from engine.config import PatchingMetric
from engine.errors import Cancelled, HeadcodeError
from engine.events import CircuitChecked, EdgesAttributed, EdgesPatched, EffectsMeasured, EngineEvent
from engine.explanations import CodeExplanation
from engine.protocol import MeasureEffects
from engine.steering import SteerResult
from sessions.events import EffectsRequested, SteeringRecorded
from sessions.handlers.context import HandlerContext
from sessions.handlers.effects import effects_request
from sessions.handlers.explanations import repeat_explanation
from sessions.handlers.steering import steer
from sessions.protocol import GetSteering, MeasureRunEffects
from sessions.store.database import Store
from sessions.store.projections import event_decoder
from sessions.verification.artifacts import RunArtifacts
from sessions.verification.measured_checks import code_words, steering_words

MOST_SECONDS = 60.0
"""Steering and explanations that took longer are not repeated."""
_Answer = TypeVar("_Answer")
_Edge = tuple[tuple[int, int], tuple[int, int]]


class RepeatedMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """A request that repeats a measurement, and what of its results is recorded of it.

    More is reported if the first one was stopped.
    """

    request: MeasureEffects
    checks: frozenset[str] = frozenset()
    """Names of the circuit checks."""
    estimated_edges: bool = False

    def recorded(self, event: EngineEvent) -> bool:
        """Return whether the first measurement recorded such an event, too."""
        match event:
            case CircuitChecked(name=name):
                return name in self.checks
            case EdgesAttributed():
                return self.estimated_edges
            case _:
                return True


class _Measured:
    """What one measurement after the run recorded, and how it was requested."""

    def __init__(self, asked: EffectsRequested) -> None:
        self.asked = asked
        self.metric: PatchingMetric | None = None
        self.position: str | None = None
        self.edges: set[_Edge] = set()
        self.checks: set[str] = set()
        self.estimated_edges = False

    def request(self, run_id: str) -> MeasureRunEffects:
        """Return the request, with the metric that `auto` meant then. Edges that were not reached are left out."""
        asked = self.asked
        return MeasureRunEffects(
            run=run_id,
            config=asked.config if self.metric is None else msgspec.structs.replace(asked.config, metric=self.metric),
            heads=asked.heads,
            position=self.position,
            after=asked.after,
            after_name=asked.after_name,
            edges=tuple(edge for edge in asked.edges if edge in self.edges),
        )


def repeated_measurements(
    store: Store, run_id: str, *, models: str, job: str
) -> tuple[list[RepeatedMeasurement], list[str]]:
    """Return the requests that repeat the measurements of effects, edges and circuits made after the run.

    They are as requested and in that order: those with at least one number that has not been measured again since.
    Second: what is not repeated, because it was stopped.
    """
    rows = store.rows(
        "SELECT payload FROM event WHERE run_id = $run AND kind IN "
        "('cause_asked', 'cause_scored', 'edges_attributed', 'edges_patched', 'circuit_checked') ORDER BY seq",
        {"run": run_id},
    )
    number, after = 0, dict[int, _Measured]()
    effects, whole = dict[tuple[EffectSetting, int, int], int](), set[EffectSetting]()
    others: dict[object, int] = {}
    edge_setting: object = None
    for (payload,) in rows:
        event = event_decoder.decode(payload)
        if isinstance(event, EffectsRequested):
            number += 1
            after[number] = _Measured(event)
            continue
        mine = after.get(number)
        match event:
            case EffectsMeasured():
                setting = setting_of(event)
                effects |= {(setting, one.layer, one.head): number for one in event.effects}
                whole |= {setting} if event.final else set()
                if mine is not None:
                    mine.position = event.position
            case EdgesAttributed():
                others["estimated edges"] = number
            case EdgesPatched():
                setting_now = edge_setting_of(event)
                if edge_setting != setting_now:  # those of another setting are no longer shown
                    others = {key: value for key, value in others.items() if not isinstance(key, tuple)}
                edge_setting = setting_now
                others |= {(edge.source, edge.target): number for edge in event.edges}
                if mine is not None:
                    mine.position = event.position or None
                    mine.edges |= {(edge.source, edge.target) for edge in event.edges}
            case CircuitChecked():
                others[event.name] = number
                if mine is not None:
                    mine.checks.add(event.name)
            case _:
                continue
        if mine is not None:
            mine.metric = event.metric
            mine.estimated_edges |= isinstance(event, EdgesAttributed)
    # Settings that were only ever measured partially are not verified.
    stopped = Counter(setting.method for setting, _, _ in effects if setting not in whole)
    numbers = {number for (setting, _, _), number in effects.items() if setting in whole} | set(others.values())
    repeated = [
        RepeatedMeasurement(
            request=effects_request(store, after[each].request(run_id), models=models, job=f"{job}-{each}")[1],
            checks=frozenset(after[each].checks),
            estimated_edges=after[each].estimated_edges,
        )
        for each in sorted(numbers)
        if each
    ]
    return repeated, [f"{n} effects by {method} (the measurement was stopped)" for method, n in stopped.items()]


def metric_in_run(store: Store, run_id: str) -> PatchingMetric | None:
    """Return the metric in which the run itself measured effects; None if it measured none."""
    row = store.one(
        "SELECT min_by(kind, seq), min_by(payload, seq) FROM event WHERE run_id = $run "
        "AND kind IN ('cause_asked', 'cause_scored')",
        {"run": run_id},
    )
    if row is None or row[0] != "cause_scored":
        return None
    event = event_decoder.decode(row[1])
    return event.metric if isinstance(event, EffectsMeasured) else None


async def repeat_answers(
    host: HandlerContext, run_id: str, stored: RunArtifacts, cancelled: Callable[[], bool]
) -> tuple[RunArtifacts, RunArtifacts, list[str]]:
    """Repeat steering and explanations, which the warm worker answers aside.

    Returns the stored results without those that are not repeated, these alone as they are now, and what is not
    repeated. Raises Cancelled.
    """
    aside = _Aside(cancelled)
    steered: list[tuple[SteeringRecorded, SteeringRecorded]] = []
    explained: list[tuple[CodeExplanation, CodeExplanation]] = []
    for then in stored.steered:
        request = GetSteering(run=run_id, plan=then.plan, again=True, record=False)
        answer = await aside.answer(
            partial(steer, host, request, verified=run_id), f"steering by {steering_words(then)}", then.result
        )
        if answer is not None:
            steered.append((then, answer.steered))
    for explanation in stored.explained:
        computed = partial(repeat_explanation, host, run_id, explanation)
        found = await aside.answer(computed, f"the explanation of {code_words(explanation)}", explanation)
        if found is not None:
            explained.append((explanation, found.explanation))
    before, now = (
        msgspec.structs.replace(
            side, steered=tuple(pair[which] for pair in steered), explained=tuple(pair[which] for pair in explained)
        )
        for which, side in enumerate((stored, RunArtifacts()))
    )
    return before, now, aside.left_out


class _Aside:
    """Asks for answers one after another and notes those that are left out."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self.left_out: list[str] = []

    async def answer(
        self, compute: Callable[[], Awaitable[_Answer]], words: str, then: SteerResult | CodeExplanation
    ) -> _Answer | None:
        """Return the answer; None if it took too long then or cannot be had now. Raises Cancelled."""
        if self._cancelled():
            raise Cancelled
        if then.seconds > MOST_SECONDS:
            self.left_out.append(f"{words} (it took {then.seconds:.0f} s)")
            return None
        try:
            return await compute()
        except Cancelled:
            raise
        except HeadcodeError as error:
            self.left_out.append(f"{words} ({error.message.rstrip('.')})")
            return None
