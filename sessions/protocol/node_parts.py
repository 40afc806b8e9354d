"""Requests that look inside a node: its effect position by position, the grid of the stream, neurons of an MLP."""

from engine.config import EffectsConfig, LoadOptions, Replacement
from engine.part_measurements import (
    EffectsThrough,
    GridOfStream,
    LossOfTasks,
    NeuronLookup,
    NeuronsOfMlp,
    PlacesOfNode,
    TokensWithout,
)
from sessions.protocol.base import Message, Request
from sessions.rows import RunRow


class GetPlaces(Request, tag="places", frozen=True, kw_only=True):
    """Measure the exact effect of one node of a run at every position of its prompts alone.

    Nothing is recorded. Answered by Places, concurrently with other requests.
    """

    run: str
    node: str
    """9.6, m8 or emb; also of a run with heads only."""
    config: EffectsConfig = EffectsConfig(method="exact")
    """Metric, replacement and number of examples; the rest does not apply."""
    example: int | None = None
    """Only on this example's pair, for a quick first look; None: on all examples."""


class Places(PlacesOfNode, Message, tag="places", frozen=True, kw_only=True):
    """The node's effect at every position of every prompt that it was measured on."""

    run: RunRow


class GetGrid(Request, tag="grid", frozen=True, kw_only=True):
    """Measure the exact effect of stream, attention and MLPs at every layer and position alone.

    Nothing is recorded. Answered by StreamGrid, concurrently with other requests; it takes as long as some dozens of
    forward passes of the prompts, and keeps the worker from others as long.
    """

    run: str
    config: EffectsConfig = EffectsConfig(method="exact", examples=8)
    layers: tuple[int, ...] = ()
    """Only these layers, so that a long measurement can be asked for in parts; empty: all."""


class StreamGrid(GridOfStream, Message, tag="grid", frozen=True, kw_only=True):
    """The effects per kind, layer and position on every prompt that they were measured on."""

    run: RunRow


class GetSpecificity(Request, tag="specificity", frozen=True, kw_only=True):
    """Remove nodes and measure what the run's task and every other ready-made task lose.

    Nothing is recorded. Answered by SpecificityOfRun, concurrently with other requests.
    """

    run: str
    nodes: tuple[tuple[int, int], ...] = ()
    """Empty: the run's circuit."""
    pairs: int = 24
    """Of each other task."""
    config: EffectsConfig = EffectsConfig(method="exact")
    """Metric, replacement and number of the run's examples."""


class SpecificityOfRun(LossOfTasks, Message, tag="specificity", frozen=True, kw_only=True):
    """What tasks lose without the nodes."""

    run: RunRow
    nodes: tuple[tuple[int, int], ...]


class GetThrough(Request, tag="through", frozen=True, kw_only=True):
    """Measure exactly what a node does to the answer through each later node alone.

    Nothing is recorded. Answered by Through, concurrently with other requests; a few layers at a time keep it short.
    """

    run: str
    node: str
    layers: tuple[int, ...] = ()
    """Of the later nodes; empty: all."""
    config: EffectsConfig = EffectsConfig(method="exact", examples=16)


class Through(EffectsThrough, Message, tag="through", frozen=True, kw_only=True):
    """The effects through each later node, in the order of the model's nodes."""

    run: RunRow


class GetAblation(Request, tag="ablation", frozen=True, kw_only=True):
    """Predict the next token of one prompt with some nodes turned off.

    Nothing is recorded. Answered by Ablation, concurrently with other requests.
    """

    run: str
    nodes: tuple[str, ...]
    """9.6, m8 or emb; also MLPs of a run with heads only."""
    example: int = 0
    """Index into the run's examples, from 0; does not apply with a prompt."""
    prompt: str = ""
    """Another prompt than one of the run's examples."""
    other: str = ""
    """The prompt that the nodes' values are read on, with replacement pair; empty: the example's pair."""
    replacement: Replacement = "auto"
    """pair, mean (over the run's negatives) or zero; auto: pair if there is one, else mean, else zero."""
    most: int = 10


class Ablation(TokensWithout, Message, tag="ablation", frozen=True, kw_only=True):
    """The next token before and after."""

    run: RunRow
    nodes: tuple[str, ...]
    prompt: str
    other: str
    """The prompt that values were read on; empty unless replaced by pair."""


class GetMlp(Request, tag="mlp", frozen=True, kw_only=True):
    """Find the neurons of one MLP that matter most for a run's answers.

    Nothing is recorded. Answered by MlpInspection, concurrently with other requests.
    """

    run: str
    layer: int
    example: int = 0
    """Index into the run's examples, from 0: activations are returned token by token on this one."""
    most: int = 100
    """Neurons by attribution, and as many by difference between the sides."""
    exact: int = 0
    """Measure the exact effect of so many neurons, the first by attribution."""
    neurons: tuple[int, ...] = ()
    """Only these neurons, with their exact effects."""
    config: EffectsConfig = EffectsConfig(method="exact")


class MlpInspection(NeuronsOfMlp, Message, tag="mlp", frozen=True, kw_only=True):
    """The neurons of the MLP, the largest mean size of attribution first."""

    run: RunRow


class GetNeuron(LoadOptions, Request, tag="neuron", frozen=True, kw_only=True):
    """Look up one neuron of a model, without a run. Answered by NeuronInspection, concurrently with other requests."""

    model: str
    layer: int
    neuron: int
    prompt: str = ""
    """Also return its activations on this prompt."""


class NeuronInspection(NeuronLookup, Message, tag="neuron", frozen=True, kw_only=True):
    """What the weights say of the neuron, and its activations on the prompt if there was one."""
