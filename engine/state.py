"""A run as its events have told it so far. Screen, command line and replay all fold with this one function."""

import msgspec

from engine.card import write_card
from engine.cause_fold import with_causes
from engine.events import (
    CardWritten,
    CauseScored,
    CircuitChecked,
    EdgesAttributed,
    EdgesScored,
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


class RunPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to show of a run at one moment."""

    model: ModelInfo | None = None
    versions: Versions | None = None
    warm: bool = False
    task: str | None = None
    examples: tuple[Example, ...] = ()
    content_hash: str = ""
    grades: tuple[Grade, ...] = ()
    reference: Reference | None = None
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
    causes: tuple[CauseScored, ...] = ()
    """The newest of each method."""
    checks: tuple[CircuitChecked, ...] = ()
    """The newest of each circuit."""
    edge_effects: EdgesAttributed | None = None
    card: Card | None = None
    finished: ProbeFinished | None = None


def apply(picture: RunPicture, event: EngineEvent) -> RunPicture:
    """The picture after one more event. Events it has nothing to show for leave it as it is."""
    match event:
        case ModelReady():
            return _with(picture, model=event.model, versions=event.versions, warm=event.warm)
        case ExamplesMade():
            return _with(picture, examples=event.examples, content_hash=event.content_hash, task=event.task)
        case ReferenceKnown():
            return _with(picture, reference=event.reference)
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
        case CauseScored():
            causes = (*(cause for cause in picture.causes if cause.method != event.method), event)
            return _judged_anew(_with(picture, causes=causes, nodes=with_causes(picture.nodes, causes)))
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
            return _with(picture, finished=event, stage=None)
        case _:
            return picture


def _judged_anew(picture: RunPicture) -> RunPicture:
    """The card with what is known of causes since it was written."""
    if picture.card is None or picture.finished is None:
        return picture
    card = write_card(
        picture.nodes,
        picture.finished.circuit,
        picture.card.steadiness,
        picture.finished.examples,
        chance=picture.card.chance,
        reference=picture.reference,
        causes=picture.causes,
        checks=picture.checks,
        diverged=picture.card.diverged,
        template=picture.card.template,
    )
    return _with(picture, card=card)


def _with(picture: RunPicture, **changes: object) -> RunPicture:
    return msgspec.structs.replace(picture, **changes)
