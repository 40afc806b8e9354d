"""Define what a verification compares: the results of a run, and what one comparison of them found."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from engine.events import CircuitChecked, EdgesAttributed, EdgesPatched, EffectsMeasured, TrainStep
from engine.explanations import CodeExplanation
from engine.results import CircuitStability, DirectSum, EdgeScore, Grade, ModelInfo, NodeScores, Versions
from sessions.events import SteeringRecorded

CheckedStage = Literal["load", "examples", "capture", "train", "codes", "scores", "cause", "steer", "explain"]
STAGES: tuple[CheckedStage, ...] = (
    "load",
    "examples",
    "capture",
    "train",
    "codes",
    "scores",
    "cause",
    "steer",
    "explain",
)
MEASURED_HEADS, MEASURED_NODES = "measured heads", "measured nodes"


class RunArtifacts(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a run that are compared."""

    model: ModelInfo | None = None
    versions: Versions | None = None
    content_hash: str = ""
    grades: tuple[Grade, ...] = ()
    steps: tuple[TrainStep, ...] = ()
    nodes: tuple[NodeScores, ...] = ()
    edges: tuple[EdgeScore, ...] = ()
    circuit: tuple[tuple[int, int], ...] = ()
    circuit_softmax: tuple[tuple[int, int], ...] = ()
    sae_sha256: str | None = None
    codes: tuple[tuple[tuple[int, ...], ...], ...] = ()
    """[seed][example][head]"""
    stability: CircuitStability | None = None
    """Of the circuit, as the card has it."""
    direct: DirectSum | None = None
    causes: tuple[EffectsMeasured, ...] = ()
    """Measured effects: the last finished measurement of each method, methods by name."""
    estimated_edges: EdgesAttributed | None = None
    measured_edges: EdgesPatched | None = None
    """In the order of their nodes."""
    checks: tuple[CircuitChecked, ...] = ()
    """Of circuits, by name."""
    steered: tuple[SteeringRecorded, ...] = ()
    """The newest of each plan."""
    explained: tuple[CodeExplanation, ...] = ()
    """The newest of each code."""


NOT_IN_TABLES = ("stability", "direct", "estimated_edges", "measured_edges", "steered", "explained")
"""Results that the log alone holds."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check of one stage."""

    stage: CheckedStage
    witness: str
    compared: int
    """How many numbers, codes or names were compared."""
    differing: int
    largest: float = 0.0
    """The largest difference in the check's own unit; for codes and names, how many differ."""
    size: float = 0.0
    """The difference as it is judged: relative to the loss, as a share of all codes."""
    where: str = ""
    """The first place that differs."""


class StageCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One check: which result of a stage it reads, and how two of them are compared."""

    stage: CheckedStage
    name: str
    read: Callable[[RunArtifacts], Sequence[object]]
    where: Callable[[RunArtifacts, int], str] | None = None
    """Describes a place in what was read."""
    numbers: Literal["absolute", "relative"] | None = None
    """How the size of a difference is judged; None: names, which are equal or not."""


Rows = Callable[[RunArtifacts], list[tuple[str, object]]]
"""What a check compares, each with the words for its place."""


def check_rows(
    stage: CheckedStage, name: str, rows: Rows, numbers: Literal["absolute", "relative"] | None = None
) -> StageCheck:
    """Return the check that compares these rows."""

    def where(side: RunArtifacts, place: int) -> str:
        found = rows(side)
        return found[place][0] if place < len(found) else "one more"

    return StageCheck(
        stage=stage, name=name, read=lambda side: [value for _, value in rows(side)], where=where, numbers=numbers
    )
