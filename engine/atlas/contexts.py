"""Keep for every node the positions where it writes most, and some random ones, with what it does there."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.atlas.masks import BatchMasks
from engine.atlas.sums import State

TOP = 6
ATTENDED = 4
SAMPLED = 64
"""Random positions, the same for all nodes, one a passage. What a node raises at them is what a search counts."""


def empty_contexts(n_layers: int, n_heads: int, d_head: int, d_model: int) -> State:
    """Return the contexts of nothing read."""
    return {
        **_empty("top", n_layers, n_heads, TOP, d_head, d_model),
        **_empty("sampled", n_layers, n_heads, SAMPLED, d_head, d_model),
    }


def _empty(kind: str, n_layers: int, n_heads: int, n: int, d_head: int, d_model: int) -> State:
    return {
        f"{kind}_norm": torch.full((n_layers, n_heads + 1, n), -1.0),
        f"{kind}_place": torch.full((n_layers, n_heads + 1, n, 2), -1, dtype=torch.int64),
        f"{kind}_keys": torch.full((n_layers, n_heads, n, ATTENDED), -1, dtype=torch.int64),
        f"{kind}_attention": torch.zeros(n_layers, n_heads, n, ATTENDED),
        f"{kind}_z": torch.zeros(n_layers, n_heads, n, d_head),
        f"{kind}_mlp": torch.zeros(n_layers, n, d_model),
    }


class BatchContexts:
    """Adds the positions of one batch."""

    def __init__(
        self,
        state: State,
        masks: BatchMasks,
        passages: Int[Tensor, " row"],
        sampled: dict[int, tuple[int, int]],
    ) -> None:
        """`passages`: the rows' numbers. `sampled`: by row of the batch, the sample's number and its position."""
        self._state, self._masks, self._passages, self._sampled = state, masks, passages, sampled

    def heads(
        self,
        layer: int,
        norms: Float[Tensor, "row position head"],
        pattern: Float[Tensor, "row head query key"],
        z: Float[Tensor, "row position head d_head"],
    ) -> None:
        """Take up a layer's heads."""
        n_heads = norms.shape[-1]
        # More keys than the row has cannot be attended to.
        n_keys = min(ATTENDED, pattern.shape[-1])
        best, places = self._best(norms)
        rows, heads = torch.arange(len(norms), device=norms.device)[:, None], torch.arange(n_heads, device=norms.device)
        weights, keys = pattern[rows, heads, places].topk(n_keys, dim=-1)
        self._merge(layer, slice(0, n_heads), best, places, keys=keys, attention=weights, z=z[rows, places, heads])
        for row, (number, position) in self._sampled.items():
            weights, keys = pattern[row, :, position].topk(n_keys, dim=-1)
            self._set("sampled", "norm", layer, slice(0, n_heads), number, norms[row, position])
            place = torch.tensor([int(self._passages[row]), position])
            self._set("sampled", "place", layer, slice(0, n_heads), number, place.expand(n_heads, 2))
            self._set("sampled", "keys", layer, slice(None), number, keys)
            self._set("sampled", "attention", layer, slice(None), number, weights)
            self._set("sampled", "z", layer, slice(None), number, z[row, position])

    def mlp(
        self, layer: int, norms: Float[Tensor, "row position"], output: Float[Tensor, "row position d_model"]
    ) -> None:
        """Take up a layer's MLP."""
        rows = torch.arange(len(norms), device=norms.device)
        best, places = self._best(norms[:, :, None])
        self._merge(layer, slice(-1, None), best, places, mlp=output[rows, places[:, 0]][:, None])
        for row, (number, position) in self._sampled.items():
            self._state["sampled_norm"][layer, -1, number] = norms[row, position].cpu()
            self._state["sampled_place"][layer, -1, number] = torch.tensor([int(self._passages[row]), position])
            self._state["sampled_mlp"][layer, number] = output[row, position].cpu()

    def _best(self, norms: Float[Tensor, "row position node"]) -> tuple[Tensor, Tensor]:
        return norms.masked_fill(~self._masks.queries[:, :, None], -1.0).max(dim=1)

    def _set(self, kind: str, what: str, layer: int, heads: slice, number: int, value: Tensor) -> None:
        there = self._state[f"{kind}_{what}"][layer, heads, number]
        there[..., : value.shape[-1]].copy_(value) if value.ndim > 1 else there.copy_(value)

    def _merge(self, layer: int, nodes: slice, best: Tensor, places: Tensor, **values: Tensor) -> None:
        """Merge the batch's best positions, [row, node], with those so far."""
        norms = self._state["top_norm"][layer, nodes]
        together = torch.cat([norms, best.T.cpu()], dim=1)
        kept = together.topk(TOP, dim=1).indices
        if int(kept.max()) < TOP:
            return  # nothing new
        norms.copy_(together.gather(1, kept))
        passages = self._passages[:, None].expand_as(places)
        found = {"place": torch.stack([passages, places.cpu()], dim=-1), **values}
        for name, value in found.items():
            there = self._state[f"top_{name}"][layer]
            mine = there[None] if name == "mlp" else there[nodes]
            shape = (len(mine), len(value), mine.shape[-1])
            new = torch.full(shape, -1 if name == "keys" else 0, dtype=mine.dtype)
            new[..., : value.shape[-1]] = value.transpose(0, 1).cpu()
            both = torch.cat([mine, new], dim=1)
            mine.copy_(both.gather(1, kept[..., None].expand(*kept.shape, both.shape[-1])))
