"""Messages between host and engine worker: JSON lines on the worker's stdin and stdout."""

import msgspec

from engine.config import EffectsConfig, LoadOptions, ProbeConfig
from engine.errors import Failure
from engine.events import EngineEvent
from engine.examples import Example
from engine.explanations import AtlasWords, CodeExplanation
from engine.node_atlas import Atlas, PromptNode
from engine.nodes import NodeChoice
from engine.part_measurements import (
    EffectsThrough,
    GridOfStream,
    LossOfTasks,
    NeuronLookup,
    NeuronsOfMlp,
    PlacesOfNode,
    TokensWithout,
)
from engine.results import Grade, ModelInfo, PromptTokens
from engine.steering import SteerPlan, SteerResult

MAX_LINE_BYTES = 64 << 20
"""A longer line is an error: large arrays are sent as files."""


class WorkerRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """The base of all requests to a worker."""


class ModelRequest(LoadOptions, WorkerRequest, frozen=True, kw_only=True):
    """The base of requests that need a model."""

    job: str
    """Of a run: its id."""
    model: str
    """As the user names it: bundled, fetched, a folder or a hub name."""
    models: str
    """Folder of fetched models."""


class RunProbe(ModelRequest, tag="probe", frozen=True, kw_only=True):
    """Capture, train, code and score. Answered by JobEvents and one JobDone or JobFailed."""

    config: ProbeConfig
    examples: tuple[Example, ...] = ()
    """Empty: make them from `task`."""
    task: str | None = None
    """The ready-made task that made these examples (or is to make them)."""
    made: bool = False
    """True if the host knows that the task made these examples; else their content decides."""
    pairs: int = 0
    """Number of pairs; 0: as many as one head among the model's heads needs to be significant.

    With 0, usable pairs first (engine.grading.usable_pairs).
    """
    task_seed: int = 0
    usable: bool = False
    """Make only pairs the model can do."""
    known: str | None = None
    """The task whose known circuit the user's own examples are compared with."""
    spool: str
    """Folder for this run's arrays; the worker creates it."""
    activations: str
    """Folder of the activation cache."""


class MeasureEffects(ModelRequest, tag="cause", frozen=True, kw_only=True):
    """Measure effects of the heads of a finished run. Answered by JobEvents and one JobDone or JobFailed."""

    identity: str
    """Of the run's model: effects in other weights belong to another run."""
    config: EffectsConfig
    examples: tuple[Example, ...]
    """The run's, in its order."""
    position: str
    task: str | None = None
    """The one that made the examples; None: they are the user's own."""
    seed: int = 0
    ranking: tuple[tuple[int, int], ...] = ()
    """All heads by the run's codes, best first."""
    circuit: tuple[tuple[int, int], ...] = ()
    heads: tuple[tuple[int, int], ...] = ()
    """For exact patching: only these heads; empty for all."""
    after: tuple[tuple[int, int], ...] = ()
    """Also measure the heads with these replaced: backups."""
    after_name: str = ""
    edges: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    """Measure these edges exactly, (source, target), and nothing else."""
    nodes: NodeChoice = "heads"
    """The nodes of the run."""


class GradePrompts(ModelRequest, tag="grade", frozen=True, kw_only=True):
    """Grade examples while they are written. Answered by one GradesMade or JobFailed.

    Answered between the reports of a run that uses the same model, else after it.
    """

    examples: tuple[Example, ...]
    position: str = "mean"
    """Which positions are marked as read: a position policy."""


class InspectHead(ModelRequest, tag="inspect", frozen=True, kw_only=True):
    """Inspect one head on one prompt. Answered like GradePrompts, by one HeadInspected or JobFailed."""

    prompt: str
    layer: int
    head: int
    codes: tuple[int, ...] = ()
    """Codes whose decoder directions are to be shown as tokens."""
    sae: str = ""
    """The run's SAE weights; empty: not stored."""
    seed_index: int = 0


class MakeExamples(ModelRequest, tag="make_examples", frozen=True, kw_only=True):
    """Make the examples of a ready-made task for a model's tokenizer. Answered like GradePrompts, by ExamplesOf."""

    task: str
    pairs: int = 0
    """0: as many as a run needs; see RunProbe."""
    seed: int = 0
    usable: bool = False
    """Only pairs the model can do, in order (engine.grading.usable_pairs)."""


class PartsRequest(ModelRequest, frozen=True, kw_only=True):
    """The base of requests that measure inside a node on the examples of a run. Answered like GradePrompts."""

    identity: str
    """Of the run's model."""
    examples: tuple[Example, ...]
    """The run's, in its order."""
    config: EffectsConfig
    """Metric, replacement and number of examples."""
    task: str | None = None
    """The one that made the examples; None: they are the user's own."""


class MeasurePlaces(PartsRequest, tag="places", frozen=True, kw_only=True):
    """Measure the exact effect of one node at every position alone. Answered by one PlacesMeasured or JobFailed."""

    layer: int
    head: int
    """NO_HEAD and NO_LAYER (engine.nodes) for MLPs and the embedding."""
    example: int | None = None
    """Only on this example's pair; what was prepared for all examples stays. None: on all of them."""


class MeasureGrid(PartsRequest, tag="grid", frozen=True, kw_only=True):
    """Measure the exact effect of stream, attention and MLPs at every layer and position. Answered by GridMeasured."""

    layers: tuple[int, ...] = ()
    """Only these layers, so that a long measurement can be asked for in parts; empty: all."""


class MeasureThrough(PartsRequest, tag="through", frozen=True, kw_only=True):
    """Measure what a node does through each later node of some layers. Answered by ThroughMeasured or JobFailed."""

    layer: int
    head: int
    """NO_HEAD and NO_LAYER (engine.nodes) for MLPs and the embedding."""
    layers: tuple[int, ...] = ()
    """Of the later nodes; empty: all."""


class AblateNodes(PartsRequest, tag="ablate", frozen=True, kw_only=True):
    """Predict the next token with some nodes turned off. Answered by one NodesAblated or JobFailed.

    The first example is the prompt, the second its pair, if it has one; negatives for means follow.
    """

    nodes: tuple[tuple[int, int], ...]
    most: int = 10
    """Tokens of each table; those in both are listed once."""


class SteerModel(PartsRequest, tag="steer", frozen=True, kw_only=True):
    """Steer the model as planned. Answered by one ModelSteered or JobFailed."""

    plan: SteerPlan
    sae: str = ""
    """The run's SAE weights, for codes."""
    seed_index: int = 0
    nodes: NodeChoice = "heads"
    """The nodes of the run: what is turned off where some are kept alone."""
    doses: tuple[float, ...] | None = None
    """Only these strengths of the curve, without the rest, so that a long one can be asked for in parts.

    Empty: the rest, without the curve. None: everything.
    """


class MeasureSpecificity(PartsRequest, tag="specificity", frozen=True, kw_only=True):
    """Remove nodes and measure what every task loses. Answered by one SpecificityMeasured or JobFailed."""

    nodes: tuple[tuple[int, int], ...]
    """(layer, head), as in MeasurePlaces."""
    pairs: int
    """Of each other task."""


class InspectMlp(PartsRequest, tag="mlp", frozen=True, kw_only=True):
    """Find the most important neurons of one MLP. Answered by one MlpInspected or JobFailed."""

    layer: int
    example: int = 0
    """Index of the example whose activations are returned token by token."""
    most: int = 100
    """Neurons by attribution, and as many by difference between the sides."""
    exact: int = 0
    """Measure the exact effects of so many neurons, the first by attribution."""
    neurons: tuple[int, ...] = ()
    """Only these neurons, with exact effects."""


class InspectNeuron(ModelRequest, tag="neuron", frozen=True, kw_only=True):
    """Look up one neuron of an MLP, without a run. Answered by one NeuronInspected or JobFailed."""

    layer: int
    neuron: int
    prompt: str = ""
    """Also return its activations on this prompt."""


class ExplainCode(ModelRequest, tag="explain", frozen=True, kw_only=True):
    """Explain a code of a node of a run. Answered like GradePrompts, by one CodeExplained or JobFailed."""

    identity: str
    """Of the run's model."""
    examples: tuple[Example, ...]
    """The run's, in its order."""
    config: ProbeConfig
    """The run's."""
    task: str | None = None
    """The one that made the examples; None: they are the user's own."""
    sae: str
    """File of the run's SAE weights."""
    seed_index: int = 0
    activations: str = ""
    """Folder of the activation cache; empty: none."""
    layer: int
    head: int
    """NO_HEAD and NO_LAYER (engine.nodes) for MLPs and the embedding."""
    code: int
    atlas: AtlasWords | None = None
    """Of this node; None: there is no atlas of the model."""


class ReadAtlas(ModelRequest, tag="read_atlas", frozen=True, kw_only=True):
    """Read on in an atlas for some seconds; asked again until it is finished. Answered by AtlasRead or JobFailed."""

    corpus: str
    """Name of a bundled corpus, or path of a file (engine.corpora)."""
    tokens: int
    folder: str
    """Where a part that was read is kept; empty: nowhere."""
    known: tuple[str, ...] = ()
    """Keys of atlases that need not be read."""
    seconds: float = 2.0


class MeasureOnPrompts(PartsRequest, tag="on_prompts", frozen=True, kw_only=True):
    """Measure every head and MLP on a run's positives by the atlas's metrics. Answered by one OnPromptsMeasured."""


SideRequest = (
    ReadAtlas
    | MeasureOnPrompts
    | GradePrompts
    | MakeExamples
    | InspectHead
    | MeasurePlaces
    | MeasureGrid
    | MeasureSpecificity
    | MeasureThrough
    | AblateNodes
    | SteerModel
    | InspectMlp
    | InspectNeuron
    | ExplainCode
)
"""Requests that are answered between the reports of a run."""


class CancelJob(WorkerRequest, tag="cancel", frozen=True, kw_only=True):
    """Cancel a job."""

    job: str


class Quit(WorkerRequest, tag="quit", frozen=True, kw_only=True):
    """Exit after the current job; end of input means the same, at once."""


AnyWorkerRequest = RunProbe | MeasureEffects | SideRequest | CancelJob | Quit


class WorkerMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="word"):
    """The base of all messages of a worker."""


class WorkerReady(WorkerMessage, tag="ready", frozen=True, kw_only=True):
    """Sent once, when torch is loaded (requests sent earlier wait in the pipe)."""

    pid: int
    device: str


class JobEvent(WorkerMessage, tag="event", frozen=True, kw_only=True):
    """An event of a job."""

    job: str
    event: EngineEvent


class ExamplesOf(WorkerMessage, tag="examples_of", frozen=True, kw_only=True):
    """The answer to MakeExamples."""

    job: str
    examples: tuple[Example, ...]


class GradesMade(WorkerMessage, tag="grades", frozen=True, kw_only=True):
    """The grades of the examples of GradePrompts, in their order."""

    job: str
    model: ModelInfo
    grades: tuple[Grade, ...]
    tokens: tuple[PromptTokens, ...]


class CodeWrites(msgspec.Struct, frozen=True, kw_only=True):
    """What one code of a head writes into the vocabulary.

    A unit of its decoder direction at the prompt's end, through the final norm as it is there and the unembedding.
    """

    code: int
    raises: tuple[tuple[str, float], ...]
    """Tokens and logits, the most raised first; the mean logit is subtracted."""
    lowers: tuple[tuple[str, float], ...]
    along: tuple[float, ...]
    """Cosine of the head's output with the direction, at each token of the prompt."""


class HeadInspected(WorkerMessage, tag="inspected", frozen=True, kw_only=True):
    """One head on one prompt."""

    job: str
    model: ModelInfo
    tokens: tuple[str, ...]
    skipped: int
    """Tokens before the first of these: only the end of a long prompt is returned."""
    strength: tuple[float, ...]
    """Norm of what the head writes into the residual stream at each token."""
    attention: tuple[tuple[float, ...], ...]
    """Row: the query token; column: the key token, up to itself."""
    writes: tuple[CodeWrites, ...]


class PlacesMeasured(PlacesOfNode, WorkerMessage, tag="places_measured", frozen=True, kw_only=True):
    """The answer to MeasurePlaces."""

    job: str


class GridMeasured(GridOfStream, WorkerMessage, tag="grid_measured", frozen=True, kw_only=True):
    """The answer to MeasureGrid."""

    job: str


class SpecificityMeasured(LossOfTasks, WorkerMessage, tag="specificity_measured", frozen=True, kw_only=True):
    """The answer to MeasureSpecificity."""

    job: str


class ThroughMeasured(EffectsThrough, WorkerMessage, tag="through_measured", frozen=True, kw_only=True):
    """The answer to MeasureThrough."""

    job: str


class NodesAblated(TokensWithout, WorkerMessage, tag="nodes_ablated", frozen=True, kw_only=True):
    """The answer to AblateNodes."""

    job: str


class ModelSteered(WorkerMessage, tag="steered", frozen=True, kw_only=True):
    """What steering did."""

    job: str
    model: ModelInfo
    result: SteerResult


class MlpInspected(NeuronsOfMlp, WorkerMessage, tag="mlp_inspected", frozen=True, kw_only=True):
    """The answer to InspectMlp."""

    job: str


class NeuronInspected(NeuronLookup, WorkerMessage, tag="neuron_inspected", frozen=True, kw_only=True):
    """The answer to InspectNeuron."""

    job: str


class CodeExplained(WorkerMessage, tag="explained", frozen=True, kw_only=True):
    """What a code answers to."""

    job: str
    model: ModelInfo
    explanation: CodeExplanation


class AtlasRead(WorkerMessage, tag="atlas_read", frozen=True, kw_only=True):
    """How far an atlas is read."""

    job: str
    model: ModelInfo
    key: str
    """What it is known by: a hash of all that decides its numbers."""
    done: int
    """Tokens."""
    total: int
    finished: bool
    atlas: Atlas | None
    """None before it is finished, and if its key was known."""


class OnPromptsMeasured(WorkerMessage, tag="on_prompts_measured", frozen=True, kw_only=True):
    """Every head and MLP on the positives of a run."""

    job: str
    model: ModelInfo
    prompts: int
    nodes: tuple[PromptNode, ...]


SideAnswer = (
    AtlasRead
    | OnPromptsMeasured
    | GradesMade
    | ExamplesOf
    | HeadInspected
    | PlacesMeasured
    | GridMeasured
    | SpecificityMeasured
    | ThroughMeasured
    | NodesAblated
    | ModelSteered
    | MlpInspected
    | NeuronInspected
    | CodeExplained
)


class JobDone(WorkerMessage, tag="done", frozen=True, kw_only=True):
    """The job is done."""

    job: str


class JobFailed(WorkerMessage, tag="failed", frozen=True, kw_only=True):
    """The job ended with an error; family 'cancelled' if the user stopped it."""

    job: str
    failure: Failure


AnyWorkerMessage = WorkerReady | JobEvent | SideAnswer | JobDone | JobFailed
