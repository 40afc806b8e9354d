"""A run as its events have told it so far. Screen, command line and replay all fold with this one function."""

import msgspec

from engine.analysis.card import write_card
from engine.analysis.effects import merge, with_causes
from engine.analysis.ground_truth import truth_of
from engine.events import (
    CardWritten,
    CircuitChecked,
    EdgesAttributed,
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
from engine.results import Card, EdgeScore, Grade, HeadScores, ModelInfo, Reference, Versions
from engine.tasks.registry import made_by


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to show of a run at one moment."""

    model: ModelInfo | None = None
    versions: Versions | None = None
    warm: bool = False
    task: str | None = None
    """The ready-made task that made the examples; None: they are a person's own."""
    examples: tuple[Example, ...] = ()
    content_hash: str = ""
    grades: tuple[Grade, ...] = ()
    offered: Reference | None = None
    """The circuit of the task the run was asked for, whether it says something about these examples or not."""
    known: Reference | None = None
    """The same where it does: the task made them, or a person chose it for their own."""
    reference: Reference | None = None
    """What every ranking of this run is held against: effects measured in it, else the known circuit."""
    stage: Stage | None = None
    stage_done: int = 0
    stage_total: int = 0
    stage_unit: str = ""
    seconds: tuple[tuple[Stage, float], ...] = ()
    """Of the stages that are over, in the order they ended."""
    steps: tuple[TrainStep, ...] = ()
    nodes: tuple[HeadScores, ...] = ()
    nodes_final: bool = False
    edges: tuple[EdgeScore, ...] = ()
    notices: tuple[Notice, ...] = ()
    causes: tuple[EffectsMeasured, ...] = ()
    """One of each setting, effects put together newest per head (cause_fold); the one touched last at the end."""
    checks: tuple[CircuitChecked, ...] = ()
    """The newest of each circuit."""
    edge_effects: EdgesAttributed | None = None
    card: Card | None = None
    finished: ProbeFinished | None = None


def apply(picture: RunSnapshot, event: EngineEvent, at_us: int | None = None) -> RunSnapshot:
    """The picture after one more event. Events it has nothing to show for leave it as it is.

    `at_us`: when it was recorded, as the log knows it.
    """
    match event:
        case ModelReady():
            return _with(picture, model=event.model, versions=event.versions, warm=event.warm)
        case ExamplesMade():
            made = made_by(event.task, event.examples) if event.made is None else event.made
            task = event.task if made else None
            return _with(picture, examples=event.examples, content_hash=event.content_hash, task=task)
        case ReferenceKnown():
            counts = picture.task is not None or event.reference.kind == "chosen"
            return _held(_with(picture, offered=event.reference, known=event.reference if counts else None))
        case StageStarted():
            return _with(picture, stage=event.stage, stage_done=0, stage_total=event.total, stage_unit=event.unit)
        case StageProgress():
            return _with(picture, stage=event.stage, stage_done=event.done, stage_total=event.total)
        case StageFinished():
            return _with(picture, stage=None, seconds=(*picture.seconds, (event.stage, event.seconds)))
        case Graded():
            return _with(picture, grades=event.grades)
        case TrainStep():
            return _with(picture, steps=(*picture.steps, event), stage_done=event.step, stage_total=event.total)
        case Scored():
            nodes = with_causes(event.nodes, picture.causes)
            return _with(picture, nodes=nodes, nodes_final=event.final)
        case EdgesScored():
            return _with(picture, edges=event.edges)
        case EffectsMeasured():
            causes = merge(picture.causes, event, at_us)
            return _judged_anew(_held(_with(picture, causes=causes, nodes=with_causes(picture.nodes, causes))))
        case CircuitChecked():
            others = tuple(check for check in picture.checks if check.name != event.name)
            return _judged_anew(_with(picture, checks=(*others, event)))
        case EdgesAttributed():
            return _with(picture, edge_effects=event)
        case CardWritten():
            return _with(picture, card=event.card)
        case Notice():
            return _with(picture, notices=(*picture.notices, event))
        case ProbeFinished():
            finished = _with(picture, finished=event, stage=None)
            return _judged_anew(finished) if _judged_wrongly(finished) else finished
        case _:
            return picture


def _held(picture: RunSnapshot) -> RunSnapshot:
    """The picture with what its rankings are held against now."""
    n_heads = len(picture.nodes) or (picture.model.n_layers * picture.model.n_heads if picture.model else 0)
    return _with(picture, reference=truth_of(picture.causes, n_heads, picture.known))


def _judged_wrongly(picture: RunSnapshot) -> bool:
    """Whether the card is one of an earlier version that held a person's examples against another task's circuit."""
    card, offered = picture.card, picture.offered
    return card is not None and offered is not None and picture.known is None and card.truth == offered.name


def _judged_anew(picture: RunSnapshot) -> RunSnapshot:
    """The card with what is known of causes since it was written."""
    if picture.card is None or picture.finished is None:
        return picture
    card = write_card(
        picture.nodes,
        picture.finished.circuit,
        picture.card.steadiness,
        picture.finished.examples,
        chance=picture.card.chance,
        reference=picture.known,
        causes=picture.causes,
        checks=picture.checks,
        diverged=picture.card.diverged,
        template=picture.card.template,
    )
    return _with(picture, card=card)


def _with(picture: RunSnapshot, **changes: object) -> RunSnapshot:
    return msgspec.structs.replace(picture, **changes)
