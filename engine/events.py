"""Everything the engine reports, as frozen values: live, stored and replayed alike."""

from typing import Literal, Protocol, runtime_checkable

import msgspec

from engine.config import PatchingMetric, Replacement
from engine.examples import Example
from engine.results import (
    Card,
    CurvePoint,
    EdgeEffect,
    EdgeScore,
    ExampleCount,
    Grade,
    HeadEffect,
    HeadScores,
    ModelInfo,
    Reference,
    Timings,
    Versions,
)

Stage = Literal["load", "grade", "capture", "train", "codes", "scores", "cause"]
STAGES: tuple[Stage, ...] = ("load", "capture", "grade", "train", "codes", "scores", "cause")
"""In the order they happen."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """The root of all events; `kind` names the class on the wire and in the store."""


class StageStarted(Event, tag="stage_started", frozen=True, kw_only=True):
    stage: Stage
    total: int
    """How many units of work the stage has; 0 where nobody can know."""
    unit: str = ""


class StageProgress(Event, tag="stage_progress", frozen=True, kw_only=True):
    """May be coalesced: only the newest matters."""

    stage: Stage
    done: int
    total: int


class StageFinished(Event, tag="stage_finished", frozen=True, kw_only=True):
    stage: Stage
    seconds: float


class ModelReady(Event, tag="model_ready", frozen=True, kw_only=True):
    model: ModelInfo
    versions: Versions
    warm: bool
    """Whether the model was in memory already."""


class ExamplesMade(Event, tag="examples_made", frozen=True, kw_only=True):
    """The examples this run uses, in the order that every index refers to."""

    examples: tuple[Example, ...]
    content_hash: str
    task: str | None = None
    repeats: tuple[int, ...] = ()
    """Indices of examples that repeat an earlier one, token by token: no measure counts them
    (engine.authoring.distinct_pairs)."""
    made: bool | None = None
    """Whether that task made them all. None: a run from before this was told; then their content decides."""


class ReferenceKnown(Event, tag="reference_known", frozen=True, kw_only=True):
    reference: Reference


class Graded(Event, tag="graded", frozen=True, kw_only=True):
    grades: tuple[Grade, ...]


class TrainStep(Event, tag="train_step", frozen=True, kw_only=True):
    """Loss parts, one number a seed; None where a loss was not finite."""

    step: int
    """Optimiser steps done."""
    total: int
    reconstruction: tuple[float | None, ...]
    sparsity: tuple[float | None, ...]
    moving: tuple[int, ...]
    """Heads whose code changed on any training example since the last report."""


class Scored(Event, tag="scored", frozen=True, kw_only=True):
    """All heads' scores, layer by layer; provisional ones come while training goes on."""

    nodes: tuple[HeadScores, ...]
    final: bool


class EdgesScored(Event, tag="edges_scored", frozen=True, kw_only=True):
    edges: tuple[EdgeScore, ...]
    """The best first; all of up to 2,000 pairs, else 200."""
    n_pairs: int
    """How many pairs of heads were compared."""


class ArrayReady(Event, tag="array_ready", frozen=True, kw_only=True):
    """A large array left in the run's spool folder as a safetensors file."""

    name: Literal["codes", "sae"]
    file: str
    """File name inside the spool folder; never a path."""
    shape: tuple[int, ...]
    """codes: [seed, example, layer * head], int32."""


EffectMethod = Literal["attribution", "exact", "combined", "backup"]


class EffectsMeasured(Event, tag="cause_scored", frozen=True, kw_only=True, omit_defaults=True):
    """What heads do to the model's answer, by one method. Later ones of the same setting add to it (cause_fold)."""

    method: EffectMethod
    """backup: exactly, with a circuit replaced."""
    metric: PatchingMetric
    replacement: Replacement
    """What the heads were replaced by."""
    base: float
    """The metric's mean over the undisturbed positives."""
    n_examples: int
    """Positives it was measured on; with replacement by pair, as many pairs."""
    position: str
    """The position policy: where in the prompt heads were replaced. mean: everywhere."""
    effects: tuple[HeadEffect, ...]
    """Layer by layer; for exact, only the heads that were patched."""
    passes: float
    """What it cost, in forward passes of those positives."""
    final: bool
    """False: more heads are to come."""
    seconds: float = 0.0
    """Since the measurement began, edges left out; 0: nobody looked at the clock."""
    why: str = ""
    """Why this metric; empty: measured before this was told."""
    gradient_steps: int = 0
    """Of attribution: at how many points the gradient was taken; 0: at the positives."""
    after: tuple[tuple[int, int], ...] = ()
    """Of backup: the heads that were replaced beside each."""
    after_name: str = ""
    """What a person calls them."""
    left: float | None = None
    """Of backup: the metric's mean with those heads replaced, what every effect is counted from."""


class EdgesAttributed(Event, tag="edges_attributed", frozen=True, kw_only=True, omit_defaults=True):
    """What heads do to the answer through single later heads, estimated from one gradient."""

    metric: PatchingMetric
    replacement: Replacement
    base: float
    n_examples: int
    edges: tuple[EdgeEffect, ...]
    """The largest either way first, those of no effect left out; all of up to 2,000 pairs, else 200."""
    n_pairs: int
    """How many pairs of heads were looked at."""
    passes: float
    seconds: float = 0.0
    """What the edges alone took; 0: nobody looked at the clock."""


class CircuitChecked(Event, tag="circuit_checked", frozen=True, kw_only=True):
    """A circuit held against the whole model: what it does alone, what is lost without it (METHOD 6)."""

    name: str
    """codes: the circuit by the run's cut; combined: as many heads by effect."""
    heads: tuple[tuple[int, int], ...]
    metric: PatchingMetric
    replacement: Replacement
    base: float
    """With all heads: faithfulness 1."""
    empty: float
    """With every head replaced: faithfulness 0."""
    n_examples: int
    faithfulness: float
    """Of the circuit with every other head replaced."""
    completeness: float
    """1 less what is left when the circuit's heads are replaced."""
    minimality: tuple[HeadEffect, ...]
    """What taking each head out of the circuit does to the circuit's answer, in the metric's unit."""
    random_faithfulness: tuple[float, ...]
    """Of random circuits with as many heads in each layer, ascending."""
    random_completeness: tuple[float, ...]
    curve: tuple[CurvePoint, ...]
    """Along the ranking the circuit was cut from."""
    area: float
    """Under the faithfulness curve, faithfulness held between 0 and 1, sizes as shares of all heads."""
    passes: float


class CardWritten(Event, tag="card_written", frozen=True, kw_only=True):
    """What the run's result is worth. A cause that is asked for later changes it (engine.analysis.run_state)."""

    card: Card


class Notice(Event, tag="notice", frozen=True, kw_only=True):
    """Something the person should know that stops nothing."""

    message: str
    hint: str = ""


class ProbeFinished(Event, tag="probe_finished", frozen=True, kw_only=True):
    """The last word of a run that went through."""

    examples: ExampleCount
    circuit: tuple[tuple[int, int], ...]
    """By rank cut, best first."""
    circuit_softmax: tuple[tuple[int, int], ...]
    """By softmax threshold."""
    timings: Timings
    cached: bool
    """Whether activations came from the cache and the model did not run."""


EngineEvent = (
    StageStarted
    | StageProgress
    | StageFinished
    | ModelReady
    | ExamplesMade
    | ReferenceKnown
    | Graded
    | TrainStep
    | Scored
    | EdgesScored
    | ArrayReady
    | EffectsMeasured
    | EdgesAttributed
    | CircuitChecked
    | CardWritten
    | Notice
    | ProbeFinished
)


@runtime_checkable
class Monitor(Protocol):
    """The engine's only way to talk to whoever started it."""

    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool: ...
