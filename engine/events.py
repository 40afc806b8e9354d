"""The events of the engine, as frozen values: the same live, stored and replayed."""

from typing import Literal, Protocol, runtime_checkable

import msgspec

from engine.config import PatchingMetric, Replacement
from engine.examples import Example
from engine.results import (
    Card,
    CurvePoint,
    DirectSum,
    EdgeEffect,
    EdgeScore,
    ExampleCount,
    Grade,
    ModelInfo,
    NodeEffect,
    NodeScores,
    Reference,
    Timings,
    Versions,
)

Stage = Literal["load", "grade", "capture", "train", "codes", "scores", "cause"]
STAGES: tuple[Stage, ...] = ("load", "capture", "grade", "train", "codes", "scores", "cause")
"""In the order they happen."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """The base of all events; `kind` names the class in JSON and in the store."""


class StageStarted(Event, tag="stage_started", frozen=True, kw_only=True):
    """A stage began."""

    stage: Stage
    total: int
    """Units of work in the stage; 0 if unknown."""
    unit: str = ""


class StageProgress(Event, tag="stage_progress", frozen=True, kw_only=True):
    """Progress within a stage. May be coalesced: only the newest matters."""

    stage: Stage
    done: int
    total: int


class StageFinished(Event, tag="stage_finished", frozen=True, kw_only=True):
    """A stage ended."""

    stage: Stage
    seconds: float


class ModelReady(Event, tag="model_ready", frozen=True, kw_only=True):
    """The model is loaded."""

    model: ModelInfo
    versions: Versions
    warm: bool
    """True if the model was in memory already."""


class ExamplesMade(Event, tag="examples_made", frozen=True, kw_only=True):
    """The examples this run uses, in the order that every index refers to."""

    examples: tuple[Example, ...]
    content_hash: str
    task: str | None = None
    repeats: tuple[int, ...] = ()
    """Indices of examples that repeat an earlier one, token by token; no measure counts them.

    See engine.authoring.distinct_pairs.
    """
    made: bool | None = None
    """True if that task made them all. None: a run that did not record it; then their content decides."""


class ReferenceKnown(Event, tag="reference_known", frozen=True, kw_only=True):
    """The known circuit of the run."""

    reference: Reference


class Graded(Event, tag="graded", frozen=True, kw_only=True):
    """The grades of the run's examples."""

    grades: tuple[Grade, ...]


class TrainStep(Event, tag="train_step", frozen=True, kw_only=True):
    """Loss parts, one number per seed; None where a loss was not finite."""

    step: int
    """Optimiser steps done."""
    total: int
    reconstruction: tuple[float | None, ...]
    sparsity: tuple[float | None, ...]
    moving: tuple[int, ...]
    """Heads whose code changed on any training example since the last report."""


class Scored(Event, tag="scored", frozen=True, kw_only=True):
    """All heads' scores, layer by layer; provisional ones are sent during training."""

    nodes: tuple[NodeScores, ...]
    final: bool


class EdgesScored(Event, tag="edges_scored", frozen=True, kw_only=True):
    """The scores of the run's edges."""

    edges: tuple[EdgeScore, ...]
    """The best first; all of up to 2,000 pairs, else 200."""
    n_pairs: int
    """Number of head pairs compared."""


class ArrayReady(Event, tag="array_ready", frozen=True, kw_only=True):
    """A large array in the run's spool folder, as a safetensors file."""

    name: Literal["codes", "sae"]
    file: str
    """File name inside the spool folder; never a path."""
    shape: tuple[int, ...]
    """codes: [seed, example, layer * head], int32."""


EffectMethod = Literal["attribution", "exact", "combined", "backup"]


class EffectsPart(msgspec.Struct, frozen=True, kw_only=True):
    """The effects on one part of the examples. Resampled parts show what other examples would give."""

    n_examples: int
    base: float
    """The metric's mean over this part's clean positives."""
    effects: tuple[float, ...]
    """Mean effects, in the order of the measurement's."""


class EffectsMeasured(Event, tag="cause_scored", frozen=True, kw_only=True, omit_defaults=True):
    """Effects of heads on the model's answer, by one method. Later ones of the same setting are merged."""

    method: EffectMethod
    """backup: exact, with a circuit replaced."""
    metric: PatchingMetric
    replacement: Replacement
    """The replacement of the heads' outputs."""
    base: float
    """The metric's mean over the clean positives."""
    n_examples: int
    """Positives it was measured on; with replacement by pair, as many pairs."""
    position: str
    """The position policy: where in the prompt heads were replaced. mean: everywhere."""
    effects: tuple[NodeEffect, ...]
    """Layer by layer; for exact, only the patched heads."""
    passes: float
    """The cost, in forward passes of those positives."""
    final: bool
    """False: more heads will follow."""
    seconds: float = 0.0
    """Since the measurement began, edges excluded; 0: not recorded."""
    why: str = ""
    """The reason for this metric; empty: not recorded."""
    gradient_steps: int = 0
    """Of attribution: number of points at which the gradient was taken; 0: at the positives."""
    after: tuple[tuple[int, int], ...] = ()
    """Of backup: the heads that were replaced together with each."""
    after_name: str = ""
    """Their name."""
    left: float | None = None
    """Of backup: the metric's mean with those heads replaced, the reference of every effect."""
    parts: tuple[EffectsPart, ...] = ()
    """Of a complete exact measurement, by engine.examples.part_of_each. Empty once merged with another."""


class EdgesAttributed(Event, tag="edges_attributed", frozen=True, kw_only=True, omit_defaults=True):
    """Effects of heads on the answer through single later heads, estimated from gradients."""

    metric: PatchingMetric
    replacement: Replacement
    base: float
    n_examples: int
    edges: tuple[EdgeEffect, ...]
    """The largest absolute ones first, without zeros; all of up to 2,000 pairs, else 200."""
    n_pairs: int
    """Number of head pairs measured."""
    passes: float
    seconds: float = 0.0
    """For the edges alone; 0: not recorded."""


class EdgesPatched(Event, tag="edges_patched", frozen=True, kw_only=True):
    """Effects of chosen edges by exact patching. Later ones of the same setting are merged."""

    metric: PatchingMetric
    replacement: Replacement
    base: float
    n_examples: int
    edges: tuple[EdgeEffect, ...]
    """The largest absolute ones first."""
    passes: float
    seconds: float = 0.0
    position: str = ""
    """The position policy: where in the prompt sources were replaced. Empty: not recorded."""


SMALLEST = "smallest"
"""Name of the check of the smallest circuit that was found (engine.patching.smallest_circuit)."""


class CircuitChecked(Event, tag="circuit_checked", frozen=True, kw_only=True):
    """A circuit compared with the whole model: its effect alone, and the loss without it (docs/method.md 6)."""

    name: str
    """codes: the circuit by the run's cut; combined: as many nodes by effect; smallest: the smallest that was found."""
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
    """1 minus what is left with the circuit's heads replaced."""
    minimality: tuple[NodeEffect, ...]
    """Change of the circuit's answer when each head is removed from it, in the metric's unit."""
    random_faithfulness: tuple[float, ...]
    """Of random circuits with as many heads in each layer, ascending."""
    random_completeness: tuple[float, ...]
    curve: tuple[CurvePoint, ...]
    """Along the ranking the circuit was cut from."""
    area: float
    """Under the faithfulness curve, faithfulness clamped to [0, 1], sizes as shares of all heads."""
    passes: float


class CardWritten(Event, tag="card_written", frozen=True, kw_only=True):
    """The run's card. Effects measured later change it (engine.analysis.run_state)."""

    card: Card


class Notice(Event, tag="notice", frozen=True, kw_only=True):
    """A message for the user that does not stop the run."""

    message: str
    hint: str = ""


class ProbeFinished(Event, tag="probe_finished", frozen=True, kw_only=True):
    """The last event of a successful run."""

    examples: ExampleCount
    circuit: tuple[tuple[int, int], ...]
    """By rank cut, best first."""
    circuit_softmax: tuple[tuple[int, int], ...]
    """By softmax threshold."""
    timings: Timings
    cached: bool
    """True if activations came from the cache and the model did not run."""
    direct: DirectSum | None = None
    """What the direct effects add up to; None: the model has none, no positive has an answer, or an older run."""


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
    | EdgesPatched
    | CircuitChecked
    | CardWritten
    | Notice
    | ProbeFinished
)


@runtime_checkable
class Monitor(Protocol):
    """The engine's only connection to its caller."""

    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool: ...


class SilentMonitor:
    """Drops events and is never cancelled."""

    def report(self, event: Event, /) -> None:
        """Drop the event."""

    def cancelled(self) -> bool:
        return False
