"""Sums over the queries of all batches, and the metrics that they give."""

import torch
from jaxtyping import Float
from torch import Tensor

from engine.atlas.masks import COLUMNS, BatchMasks
from engine.node_atlas import Metrics

State = dict[str, Tensor]
"""All sums by name, so that they can be saved between batches."""
_ENTROPY = len(COLUMNS)
_NORM, _SHARE = 0, 1
COPY_EVERY = 8
"""Of the queries, every eighth is looked at for copying: it needs logits."""


def empty_sums(n_layers: int, n_heads: int) -> State:
    """Return the sums over nothing."""
    return {
        "attention": torch.zeros(n_layers, n_heads, len(COLUMNS) + 1, dtype=torch.float64),
        "written": torch.zeros(n_layers, n_heads + 1, 2, dtype=torch.float64),
        "copied": torch.zeros(n_layers, n_heads, 2, dtype=torch.float64),
        "counts": torch.zeros(3, dtype=torch.float64),
        "streams": torch.zeros(n_layers, dtype=torch.float64),
    }


class LayerSums:
    """Adds one batch's layers to the sums."""

    def __init__(self, state: State, masks: BatchMasks) -> None:
        self._state, self._masks = state, masks
        state["counts"] += masks.counts.cpu()

    def attention(self, layer: int, pattern: Float[Tensor, "row head query key"]) -> None:
        """Add the attention of a layer's heads."""
        masks = self._masks
        sums = torch.bmm(pattern.flatten(2), masks.weights).sum(dim=0)
        entropy = torch.special.entr(pattern).sum(dim=-1) * masks.queries[:, None]
        self._state["attention"][layer, :, :_ENTROPY] += sums.cpu()
        self._state["attention"][layer, :, _ENTROPY] += entropy.sum(dim=(0, 2)).cpu()

    def received(self, pattern: Float[Tensor, "row head query key"]) -> Float[Tensor, "row head key"]:
        """Return the attention that every key receives from later queries; the first position receives none."""
        masks = self._masks
        weights = masks.queries.to(torch.float32)
        total = torch.einsum("rq,rhqk->rhk", weights, pattern)
        total -= torch.diagonal(pattern, dim1=2, dim2=3) * weights[:, None]
        total[:, :, 0] = 0
        return total

    def written(
        self,
        layer: int,
        node: int | slice,
        norms: Float[Tensor, "row position node"],
        stream: Float[Tensor, "row position"] | None,
    ) -> None:
        """Add the lengths of what nodes write, and as shares of the stream's length."""
        counted = norms * self._masks.queries[:, :, None]
        self._state["written"][layer, node, _NORM] += counted.sum(dim=(0, 1)).cpu().double()
        if stream is not None:
            shares = counted / stream.clamp(min=1e-12)[:, :, None]
            self._state["written"][layer, node, _SHARE] += shares.sum(dim=(0, 1)).cpu().double()

    def copied(
        self,
        layer: int,
        pattern: Float[Tensor, "row head query key"],
        logits: Float[Tensor, "row query head key"],
        places: list[int],
    ) -> None:
        """Add how high the logits of attended tokens stand among the row's, in standard deviations.

        `logits`: of the token at each key, by what each head writes at the queries `places`.
        """
        masks = self._masks
        there = torch.arange(pattern.shape[-1], device=pattern.device)
        own = ((there >= 1) & (there < masks.lengths[:, None])).to(torch.float32)[:, None, None]
        n = own.sum(dim=-1, keepdim=True).clamp(min=1)
        mean = (logits * own).sum(dim=-1, keepdim=True) / n
        spread = (((logits - mean) * own).square().sum(dim=-1, keepdim=True) / n).sqrt()
        standing = (logits - mean) / spread.clamp(min=1e-12)
        weights = pattern[:, :, places].transpose(1, 2) * masks.earlier[places][None, :, None]
        weights = weights * masks.queries[:, places][:, :, None, None]
        self._state["copied"][layer, :, 0] += (standing * weights).sum(dim=(0, 1, 3)).cpu().double()
        self._state["copied"][layer, :, 1] += weights.sum(dim=(0, 1, 3)).cpu().double()


def head_metrics(state: State, layer: int, head: int) -> Metrics:
    """Return the metrics of a head. Those of repeated tokens are the text's (`induction_text`, `duplicate_text`)."""
    queries, duplicates, inductions = state["counts"].tolist()
    if not queries:
        return {}
    previous, first, itself, others, offset, duplicate, induction, entropy = state["attention"][layer, head].tolist()
    found = {
        "previous": previous / queries,
        "first": first / queries,
        "itself": itself / queries,
        "entropy": entropy / queries,
        **_written(state, layer, head),
    }
    if duplicates:
        found["duplicate_text"] = duplicate / duplicates
    if inductions:
        found["induction_text"] = induction / inductions
    if others > 1e-9 * queries:  # summed by itself: the rest of a sum that is nearly all of it has few digits
        found["offset"] = offset / others
    standing, weight = state["copied"][layer, head].tolist()
    if weight > 0:
        found["copying"] = standing / weight
    return found


def mlp_metrics(state: State, layer: int) -> Metrics:
    """Return the metrics of a layer's MLP."""
    return _written(state, layer, -1) if state["counts"][0] else {}


def _written(state: State, layer: int, node: int) -> Metrics:
    queries = float(state["counts"][0])
    found = {"norm": float(state["written"][layer, node, _NORM]) / queries}
    if state["streams"][layer]:
        found["share"] = float(state["written"][layer, node, _SHARE]) / queries
    return found
