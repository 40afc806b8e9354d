"""Which example has which code, as tensors: label permutations and bootstraps are sums over this table."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.code_scores.code_measures import CodeCounts
from engine.results import NO_CODE
from engine.scoring.merging import merge_by_share


class CodeOccurrences:
    """A table of every (seed, head, code) that occurs, a symbol, and of the examples with that symbol.

    Label permutations and bootstraps are sums over this table, so none of them loops over heads.
    """

    def __init__(self, codes: Int[Tensor, "seed example node"]) -> None:
        self.n_seeds, self.n_examples, self.n_nodes = codes.shape
        width = int(codes.max()) + 2  # NO_CODE is a symbol, too, at 0
        seed = torch.arange(self.n_seeds)[:, None, None]
        node = torch.arange(self.n_nodes)[None, None, :]
        keys = (seed * self.n_nodes + node) * width + (codes.long() - NO_CODE)
        symbols, self.which = torch.unique(keys, return_inverse=True)
        """Int [seed, example, node]: the symbol of each head."""
        self.owner = symbols.div(width, rounding_mode="floor")
        """Int [symbol]: seed * n_nodes + node; ascending."""
        self.active = symbols % width != 0
        """Bool [symbol]: False for NO_CODE."""

    def carried(self) -> Float[Tensor, "example symbol"]:
        """Return 1 where an example has a symbol, else 0."""
        table = torch.zeros(self.n_examples, len(self.owner))
        for seed in range(self.n_seeds):
            table.scatter_(1, self.which[seed], 1.0)
        return table

    def counts(self, rows: Bool[Tensor, " example"]) -> Float[Tensor, " symbol"]:
        """Return on how many of these examples each symbol occurs."""
        occurring = self.which[:, rows].reshape(-1)
        return torch.bincount(occurring, minlength=len(self.owner)).float()

    def per_side(self, positive: Bool[Tensor, " example"]) -> CodeCounts:
        """Return the counts from which the measures are computed."""
        return CodeCounts(
            on_positive=self.counts(positive).double().numpy(),
            on_negative=self.counts(~positive).double().numpy(),
            active=self.active.numpy(),
            owner=self.owner.numpy(),
            shape=(self.n_seeds, self.n_nodes),
            n_positive=int(positive.sum()),
            n_negative=int((~positive).sum()),
        )


def top_nodes(
    variation: Float[Tensor, "*many node"],
    length: Float[Tensor, "*#many node"],
    size: int,
    kinds: Int[Tensor, " node"] | None = None,
) -> Bool[Tensor, "*many node"]:
    """Return a mask of the first `size` nodes by total variation, ties by contrast length, as in ranking.ranked.

    Nodes of zero variation have no signal and are never included, even where fewer than `size` are left. `kinds`
    (merging.kinds_of): heads and MLPs are ranked each among their own.
    """
    # Rounded, so that sums taken in another order compare equal.
    rounded = (variation.double() * 1e6).round()
    order = length.expand_as(variation).argsort(dim=-1, descending=True, stable=True)
    order = order.gather(-1, rounded.gather(-1, order).argsort(dim=-1, descending=True, stable=True))
    place = order.argsort(dim=-1)
    signal = rounded > 0
    # Those without signal come last of all, whatever their share.
    merged = merge_by_share(place, kinds) + (~signal) * place.shape[-1]
    first = merged.argsort(dim=-1)[..., :size]
    return torch.zeros_like(order, dtype=torch.bool).scatter_(-1, first, True) & signal
