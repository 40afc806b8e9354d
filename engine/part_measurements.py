"""What each measurement inside a node gives: the worker's answer adds its job, the host's answer the run."""

import msgspec

from engine.node_parts import (
    MeasuredHow,
    NeuronFacts,
    NextToken,
    PromptActivations,
    PromptGrid,
    PromptPlaces,
    RunNeuron,
    TaskLoss,
    ThroughEffect,
)
from engine.results import ModelInfo


class PlacesOfNode(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of one node at every position of every prompt that it was measured on."""

    model: ModelInfo
    how: MeasuredHow
    prompts: tuple[PromptPlaces, ...]


class GridOfStream(msgspec.Struct, frozen=True, kw_only=True):
    """The effects of stream, attention and MLPs by kind, layer and position on every prompt measured."""

    model: ModelInfo
    how: MeasuredHow
    prompts: tuple[PromptGrid, ...]


class LossOfTasks(msgspec.Struct, frozen=True, kw_only=True):
    """What the run's own examples and every other task lose without some nodes."""

    model: ModelInfo
    own: TaskLoss
    others: tuple[TaskLoss, ...]
    """The largest loss first."""
    left_out: dict[str, str]
    """Tasks that the model cannot do, and why."""
    seconds: float


class EffectsThrough(msgspec.Struct, frozen=True, kw_only=True):
    """What the node does through each later node of the layers asked for, in the order of the model's nodes."""

    model: ModelInfo
    how: MeasuredHow
    base: float
    prompts: int
    through: tuple[ThroughEffect, ...]


class TokensWithout(msgspec.Struct, frozen=True, kw_only=True):
    """The next token with nothing replaced and with the nodes turned off."""

    model: ModelInfo
    how: MeasuredHow
    tokens: tuple[str, ...]
    """Of the prompt."""
    next_tokens: tuple[NextToken, ...]
    """By the probability before, then by that after."""
    kl: float
    """KL divergence of the distribution after from that before, in nats."""


class NeuronsOfMlp(msgspec.Struct, frozen=True, kw_only=True):
    """The most important neurons of an MLP on the prompts of a run."""

    model: ModelInfo
    how: MeasuredHow
    base: float
    """The metric with nothing replaced, the mean over the positives."""
    prompts: int
    """Positives that it was measured on."""
    n_neurons: int
    """Of the MLP."""
    attribution: float
    """The sum of all neurons' attributions."""
    tokens: tuple[str, ...]
    """Of the example that was asked for."""
    neurons: tuple[RunNeuron, ...]
    """The largest mean size of attribution first."""


class NeuronLookup(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights say of one neuron, and its activations on the prompt if there was one."""

    model: ModelInfo
    facts: NeuronFacts
    on_prompt: PromptActivations | None
