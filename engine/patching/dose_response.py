"""The answer as a function of how strongly a direction is added, beside random directions of the same length."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.errors import Cancelled
from engine.models.loading import Model
from engine.nodes import NodeId
from engine.patching.directions import Encoded
from engine.patching.forward import ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs
from engine.patching.partial_forward import PartialPass, later_passes
from engine.patching.steering_edits import AddedDirection, SteeringEdit
from engine.steering import DosePoint, TextCost

_DIGITS = 6
_PART = 512
"""Tokens of a text that are read together."""


def measure_doses(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    node: NodeId,
    directions: Float[Tensor, "direction d_model"],
    strengths: Sequence[float],
    where: Bool[Tensor, "row position"],
) -> Float[Tensor, "direction strength row"]:
    """Return the metric on every row with each direction times each strength added at the row's positions.

    Passes begin at the node's layer and, where they can, at the first steered position. Raises Cancelled.
    """
    vectors = torch.tensor(list(strengths), device=directions.device)[None, :, None] * directions[:, None]
    vectors = vectors.flatten(0, 1)
    results = torch.empty(len(vectors), len(inputs), device=inputs.tokens.device)
    first = max(node.layer, 0)
    for tail in _tails(passes, inputs, where):
        size = max(1, passes.rows_at_once(tail.tokens.shape[1]) // len(tail.rows))
        here = where[tail.rows, tail.begin : tail.end]
        for start in range(0, len(vectors), size):
            some = vectors[start : start + size]
            many = len(some)
            steering = AddedDirection(passes.model, node, some.repeat_interleave(len(tail.rows), dim=0))
            with torch.no_grad():
                results[start : start + size, tail.rows] = tail.run(
                    passes,
                    inputs,
                    many,
                    first=first,
                    residual=tail.entering(inputs, first).repeat(many, 1, 1),
                    more_hooks=steering.hooks(here.repeat(many, 1)),
                )
    return results.view(len(directions), len(strengths), len(inputs))


def _tails(passes: ForwardPasses, inputs: PatchingInputs, where: Bool[Tensor, "row position"]) -> list[PartialPass]:
    """Return the inputs' rows, from the first steered position on where passes can begin there."""
    found = []
    for tail in inputs.tails(passes):
        steered = where[tail.rows, tail.begin : tail.end].any(dim=0).nonzero()[:, 0]
        begin = tail.begin + (int(steered[0]) if len(steered) else 0)
        # Every row must still be there: a pass that begins later leaves out the rows that end before.
        begin = min(begin, int(inputs.last[tail.rows].min()))
        later = later_passes(passes, inputs, tail, [begin]) if begin > tail.begin else None
        found += [tail] if later is None else later
    return found


def points_of(
    metrics: Float[Tensor, "direction strength row"], base: Float[Tensor, " row"], strengths: Sequence[float]
) -> tuple[DosePoint, ...]:
    """Return the curve of the first direction; the others are the random ones."""
    changes = (metrics - base).double()
    means = changes.mean(dim=-1)
    found = []
    for place, strength in enumerate(strengths):
        own = changes[0, place]
        error = None if len(own) < 2 else round(float(own.std() / len(own) ** 0.5), _DIGITS)
        found.append(
            DosePoint(
                strength=strength,
                effect=round(float(means[0, place]), _DIGITS),
                error=error,
                random=tuple(round(float(each), _DIGITS) for each in means[1:, place]),
            )
        )
    return tuple(found)


def text_cost(passes: ForwardPasses, texts: Sequence[Encoded], steering: Sequence[SteeringEdit]) -> TextCost | None:
    """Return the mean log probability of the texts' own tokens, as they are and with every one steered each way.

    The first way is the one measured, the others random directions; without any, both numbers are the same. Texts
    longer than the model reads are cut into parts. None if there is no token to predict.
    """
    model = passes.model
    size = max(2, min(model.info.context, passes.rows_at_once(1), _PART))
    totals, counted = [0.0] * (1 + len(steering)), 0
    parts = [
        (list(ids[start : start + size]), list(own[start : start + size]))
        for ids, own in texts
        for start in range(0, len(ids), size)
    ]
    parts.sort(key=lambda part: len(part[0]))
    while parts:
        many = passes.rows_at_once(len(parts[-1][0]))
        some, parts = parts[-many:], parts[:-many]
        tokens, where = _padded(some, model)
        predicted = where[:, 1:]
        counted += int(predicted.sum())
        for place, way in enumerate((None, *steering)):
            if passes.monitor.cancelled():
                raise Cancelled
            likely = _log_probabilities(model, tokens, where, None if way is None else way.hooks(where))
            totals[place] += float(likely[predicted].sum())
            passes.work += tokens.numel() * passes.n_layers
    if not counted:
        return None
    means = [round(total / counted, _DIGITS) for total in totals]
    return TextCost(tokens=counted, before=means[0], after=means[min(1, len(steering))], random=tuple(means[2:]))


def _padded(
    parts: Sequence[tuple[list[int], list[bool]]], model: Model
) -> tuple[Int[Tensor, "row position"], Bool[Tensor, "row position"]]:
    """Return the tokens, padded on the right, where a causal model does not see it, and which are a text's own."""
    width = max(len(ids) for ids, _ in parts)
    tokens = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in parts], device=model.device)
    own = torch.tensor([[*own, *[False] * (width - len(own))] for _, own in parts], device=model.device)
    return tokens, own


def _log_probabilities(
    model: Model, tokens: Int[Tensor, "row position"], own: Bool[Tensor, "row position"], hooks: Hooks | None
) -> Float[Tensor, "row later"]:
    """Return the log probability of every token but the first of each row, given those before."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    lengths = torch.where(own, places + 1, 0).amax(dim=1)
    with torch.no_grad(), model.lengths.of(lengths):
        logits = model.bridge.run_with_hooks(tokens, fwd_hooks=hooks or [], return_type="logits")
    rows = logits[:, :-1].to(model.device, torch.float32)
    found: Tensor = rows.gather(2, tokens[:, 1:, None])[..., 0].double() - rows.logsumexp(dim=-1).double()
    return found
