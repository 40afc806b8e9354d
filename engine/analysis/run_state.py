"""Fold a run's events into its state. Screen, command line and replay all use this one function."""

import msgspec

from engine.analysis.card import write_card
from engine.analysis.effects import merge_measurement, with_effects
from engine.analysis.ground_truth import reference_for
from engine.events import (
    CardWritten,
    CircuitChecked,
    EdgesAttributed,
    EdgesPatched,
    EdgesScored,
    EffectsMeasured,
    EngineEvent,
    ExamplesMade,
    Graded,
    ModelReady,
    Notice,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    Stage,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainStep,
)
from engine.examples import Example
from engine.results import Card, EdgeScore, Grade, ModelInfo, NodeScores, Reference, Versions


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run at one moment: everything that can be shown of it."""

    model: ModelInfo | None = None
    versions: Versions | None = None
    warm: bool = False
    task: str | None = None
    """The ready-made task that made the examples; None: they are the user's own."""
    examples: tuple[Example, ...] = ()
    content_hash: str = ""
    grades: tuple[Grade, ...] = ()
    offered: Reference | None = None
    """The circuit of the task the run was asked for, whether or not it applies to these examples."""
    known: Reference | None = None
    """The same where it applies: the task made the examples, or the user chose it for their own."""
    reference: Reference | None = None
    """What every ranking of this run is compared with: effects measured in it, else the known circuit."""
    stage: Stage | None = None
    stage_done: int = 0
    stage_total: int = 0
    stage_unit: str = ""
    seconds: tuple[tuple[Stage, float], ...] = ()
    """Of finished stages, in order of completion."""
    steps: tuple[TrainStep, ...] = ()
    nodes: tuple[NodeScores, ...] = ()
    nodes_final: bool = False
    edges: tuple[EdgeScore, ...] = ()
    notices: tuple[Notice, ...] = ()
    causes: tuple[EffectsMeasured, ...] = ()
    """One per setting, merged by engine.analysis.effects; the setting measured last at the end."""
    checks: tuple[CircuitChecked, ...] = ()
    """The newest per circuit."""
    edge_effects: EdgesAttributed | None = None
    exact_edges: EdgesPatched | None = None
    """All edges measured so far in the setting of the last measurement."""
    card: Card | None = None
    finished: ProbeFinished | None = None


def fold_event(state: RunSnapshot, event: EngineEvent, at_us: int | None = None) -> RunSnapshot:
    """Return the state after one more event. Events without visible content leave it unchanged.

    `at_us`: when the event was recorded, from the log.
    """
    match event:
        case ModelReady():
            return _with(state, model=event.model, versions=event.versions, warm=event.warm)
        case ExamplesMade():
            made = _made_by_task(event) if event.made is None else event.made
            task = event.task if made else None
            return _with(state, examples=event.examples, content_hash=event.content_hash, task=task)
        case ReferenceKnown():
            counts = state.task is not None or event.reference.kind == "chosen"
            return _with_reference(_with(state, offered=event.reference, known=event.reference if counts else None))
        case StageStarted():
            return _with(state, stage=event.stage, stage_done=0, stage_total=event.total, stage_unit=event.unit)
        case StageProgress():
            return _with(state, stage=event.stage, stage_done=event.done, stage_total=event.total)
        case StageFinished():
            return _with(state, stage=None, seconds=(*state.seconds, (event.stage, event.seconds)))
        case Graded():
            return _with(state, grades=event.grades)
        case TrainStep():
            return _with(state, steps=(*state.steps, event), stage_done=event.step, stage_total=event.total)
        case Scored():
            nodes = with_effects(event.nodes, state.causes)
            return _with(state, nodes=nodes, nodes_final=event.final)
        case EdgesScored():
            return _with(state, edges=event.edges)
        case EffectsMeasured():
            causes = merge_measurement(state.causes, event, at_us)
            return _with_new_card(_with_reference(_with(state, causes=causes, nodes=with_effects(state.nodes, causes))))
        case CircuitChecked():
            others = tuple(check for check in state.checks if check.name != event.name)
            return _with_new_card(_with(state, checks=(*others, event)))
        case EdgesAttributed():
            return _with(state, edge_effects=event)
        case EdgesPatched():
            return _with(state, exact_edges=_merged(state.exact_edges, event))
        case CardWritten():
            return _with(state, card=event.card)
        case Notice():
            return _with(state, notices=(*state.notices, event))
        case ProbeFinished():
            finished = _with(state, finished=event, stage=None)
            return _with_new_card(finished) if _has_obsolete_card(finished) else finished
        case _:
            return state


def edge_setting_of(event: EdgesPatched) -> tuple[object, ...]:
    """Return how these edges were measured. Effects of different settings are not shown together."""
    return event.metric, event.replacement, event.position, event.n_examples, event.base


def _merged(before: EdgesPatched | None, event: EdgesPatched) -> EdgesPatched:
    """Return the event with the edges of earlier ones of its setting; of an edge, the newest effect counts."""
    if before is None or edge_setting_of(before) != edge_setting_of(event):
        return event
    edges = {(edge.source, edge.target): edge for edge in (*before.edges, *event.edges)}
    ordered = sorted(edges.values(), key=lambda edge: (-abs(edge.effect), edge.source, edge.target))
    return msgspec.structs.replace(
        event,
        edges=tuple(ordered),
        passes=round(before.passes + event.passes, 2),
        seconds=round(before.seconds + event.seconds, 4),
    )


def _with_reference(state: RunSnapshot) -> RunSnapshot:
    """Return the state with its current reference."""
    n_nodes = len(state.nodes) or (state.model.layout.n_nodes if state.model else 0)
    return _with(state, reference=reference_for(state.causes, n_nodes, state.known))


def _has_obsolete_card(state: RunSnapshot) -> bool:
    """Return True if an earlier version wrote the card against a circuit that does not apply here."""
    card, offered = state.card, state.offered
    return card is not None and offered is not None and state.known is None and card.truth == offered.name


def _with_new_card(state: RunSnapshot) -> RunSnapshot:
    """Return the state with its card rewritten from the effects measured since."""
    if state.card is None or state.finished is None:
        return state
    card = write_card(
        state.nodes,
        state.finished.circuit,
        state.card.stability,
        state.finished.examples,
        chance=state.card.chance,
        reference=state.known,
        causes=state.causes,
        checks=state.checks,
        diverged=state.card.diverged,
        template=state.card.template,
    )
    return _with(state, card=card)


def _with(state: RunSnapshot, **changes: object) -> RunSnapshot:
    return msgspec.structs.replace(state, **changes)


def _made_by_task(event: ExamplesMade) -> bool:
    """Return whether the task made the examples of a run of a version that did not record it."""
    from engine.tasks.registry import made_by

    return made_by(event.task, event.examples)
