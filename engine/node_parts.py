"""What is measured of nodes beside a run: effects by position, the grid of the stream, neurons, what tasks lose."""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

GridKind = Literal["stream", "attention", "mlp"]
"""What is replaced at one layer and position: the layer's input, or all that its attention or its MLP writes."""


class MeasuredHow(msgspec.Struct, frozen=True, kw_only=True):
    """How effects were measured, and what it cost."""

    metric: str
    replacement: str
    passes: float
    """Cost of the measurement itself, in forward passes of its prompts."""
    prepared: float
    """Cost of the clean passes before it, likewise."""
    seconds: float
    notices: tuple[str, ...] = ()
    """What was left out, and why."""


class PromptPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and the effect of a replacement at each of its positions alone."""

    example: int
    """Index into the run's examples, from 0."""
    base: float
    """The metric with nothing replaced."""
    tokens: tuple[str, ...]
    other: tuple[str, ...]
    """The paired prompt's token at the position that each replacement is read at; empty if it is read on no one prompt.

    Sides of unequal length are aligned at their ends; what lies before the other's start is replaced from its first.
    """
    effects: tuple[float, ...]
    """Change of the metric per position."""


class PlaceEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The mean effect at one distance from the end, over all prompts that are so long."""

    from_end: int
    """0 is the last token: prompts of unequal length are aligned at their ends."""
    effect: float
    error: float | None
    """Standard error of the mean; None for one prompt."""
    prompts: int
    token: str
    """The most frequent token there."""
    other: str
    """The most frequent token that it is replaced from; empty if replacements are read on no one prompt."""
    tokens: int
    """Number of different tokens there."""


class PromptGrid(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and the effects of replacing one layer at one position, kind by kind."""

    example: int
    base: float
    tokens: tuple[str, ...]
    other: tuple[str, ...]
    """As in PromptPlaces."""
    effects: dict[GridKind, tuple[tuple[float, ...], ...]]
    """Per kind: a row per layer, a column per position."""

    def at(self, kind: GridKind, layer: int) -> PromptPlaces:
        """Return one row of the grid."""
        return PromptPlaces(
            example=self.example,
            base=self.base,
            tokens=self.tokens,
            other=self.other,
            effects=self.effects[kind][layer],
        )


class ThroughEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a node does to the answer through one later node alone."""

    layer: int
    head: int
    """Of the later node: NO_HEAD for an MLP."""
    effect: float
    """Exact change of the metric when that node alone reads the other side's output of the first; the mean."""
    error: float | None
    """Standard error of `effect`; None for one prompt."""


class NextToken(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate for the next token, with nodes as they are and with some turned off."""

    token: str
    before: float
    """Its probability with nothing replaced."""
    after: float
    rank_before: int
    """Counted from 1."""
    rank_after: int


Tokens = tuple[tuple[str, float], ...]
"""Tokens and a number for each, the largest size first."""


ReadPart = Literal["in", "gate"]


class ReadRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the rows that a neuron reads the stream by, in terms of tokens' embeddings."""

    part: ReadPart
    """`in`: for the activation function or, of a gated MLP, what the gate is multiplied by; `gate`: for the gate."""
    norm: float
    excites: Tokens
    """Tokens whose embeddings point most along the row, with the cosine."""
    inhibits: Tokens


class NeuronFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights say of one neuron of an MLP."""

    layer: int
    neuron: int
    n_neurons: int
    """Of the layer."""
    norm: float
    """Of the row that it writes: what one unit of activation adds to the stream, before a norm that may follow."""
    raises: Tokens
    """Tokens whose logits a unit of the row raises most, through the final norm's gain and the unembedding.

    Less the mean over all tokens, and without the final norm's divisor, which depends on the prompt. A negative
    activation does the opposite.
    """
    lowers: Tokens
    reads: tuple[ReadRow, ...]
    """Empty where TransformerLens does not show the rows."""


class PromptActivations(msgspec.Struct, frozen=True, kw_only=True):
    """The activations of one neuron on a prompt."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]


class RunNeuron(msgspec.Struct, frozen=True, kw_only=True):
    """One neuron of an MLP on the prompts of a run."""

    neuron: int
    attribution: float
    """Estimated change of the metric when the neuron is replaced, the mean over the positives."""
    size: float
    """Mean size of the estimates, by which neurons are ranked."""
    difference: float
    """Mean size of the difference between the sides per replaced position, in units of what is added to the stream."""
    norm: float
    """Of the row that it writes."""
    effect: float | None = None
    """Exact change of the metric, the mean over the positives; None if it was not measured."""
    error: float | None = None
    """Standard error of `effect`."""
    example: int
    """The positive on which its activation is largest in size, by index into the run's examples."""
    position: int
    """Where it is largest there, from 0."""
    token: str
    peak: float
    """Its activation there."""
    peak_other: float
    """By what that is replaced."""
    activations: tuple[float, ...]
    """On the prompt of the request, per token."""
    raises: Tokens
    """As in NeuronFacts, but divided by the final norm's scale at the end of the prompt of the request."""
    lowers: Tokens


def mean_places(prompts: Sequence[PromptPlaces]) -> tuple[PlaceEffect, ...]:
    """Return the mean effect at every distance from the end, the prompts' first position first."""
    longest = max((len(each.tokens) for each in prompts), default=0)
    found = []
    for from_end in reversed(range(longest)):
        there = [each for each in prompts if len(each.tokens) > from_end]
        effects = [each.effects[-1 - from_end] for each in there]
        mean = math.fsum(effects) / len(effects)
        error = None
        if len(effects) > 1:
            variance = math.fsum((each - mean) ** 2 for each in effects) / (len(effects) - 1)
            error = math.sqrt(variance / len(effects))
        tokens = [each.tokens[-1 - from_end] for each in there]
        found.append(
            PlaceEffect(
                from_end=from_end,
                effect=mean,
                error=error,
                prompts=len(there),
                token=_most_frequent(tokens),
                other=_most_frequent([each.other[-1 - from_end] for each in there if each.other]),
                tokens=len(set(tokens)),
            )
        )
    return tuple(found)


def mean_grid(prompts: Sequence[PromptGrid]) -> dict[GridKind, tuple[tuple[PlaceEffect, ...], ...]]:
    """Return the mean effects per kind and layer at every distance from the end, the prompts' first position first."""
    if not prompts:
        return {}
    return {
        kind: tuple(mean_places([each.at(kind, layer) for each in prompts]) for layer in range(len(rows)))
        for kind, rows in prompts[0].effects.items()
    }


def _most_frequent(tokens: Sequence[str]) -> str:
    return max(tokens, key=tokens.count, default="")


class TaskLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What a task loses when some nodes are replaced, and when as many random ones are."""

    task: str
    """Empty: the run's own examples, of no ready-made task."""
    metric: str
    replacement: str
    pairs: int
    base: float
    """The metric with nothing replaced, the mean over the positives."""
    removed: float
    """The metric with the nodes replaced."""
    random: float
    """The same for random nodes, as many heads and as many MLPs; the mean over several draws."""

    @property
    def share(self) -> float:
        """Share of the base that is lost; above 1: the answer is turned round. 0 for a base of 0."""
        return round(1 - self.removed / self.base, 4) if abs(self.base) > 1e-9 else 0.0

    @property
    def random_share(self) -> float:
        return round(1 - self.random / self.base, 4) if abs(self.base) > 1e-9 else 0.0
