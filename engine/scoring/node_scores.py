"""Score every head from its codes on both sides (METHOD 5). Integers in, counts out."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.results import NO_CODE


class CodeOccurrences:
    """A table of every (seed, head, code) that occurs, a symbol, and of the examples with that symbol.

    All measures and the label permutations are sums over this table, so none of them loops over heads.
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
        self.speaks = symbols % width != 0
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

    def per_head(self, values: Float[Tensor, " symbol"]) -> Float[Tensor, "seed node"]:
        """Return sums over each head's symbols."""
        total = torch.zeros(self.n_seeds * self.n_nodes, dtype=values.dtype)
        return total.index_add_(0, self.owner, values).view(self.n_seeds, self.n_nodes)


def unique_codes(symbols: CodeOccurrences, positive: Bool[Tensor, " example"]) -> Float[Tensor, "seed node"]:
    """Return the node score: how many codes each head has on positives and on no negative."""
    return symbols.per_head((_unique(symbols, positive)).float())


def code_measures(
    symbols: CodeOccurrences, positive: Bool[Tensor, " example"]
) -> dict[str, Float[Tensor, "seed node"]]:
    """Return every measure that needs only codes and polarity, per seed and head."""
    on_positive, on_negative = symbols.counts(positive), symbols.counts(~positive)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    speaks = symbols.speaks
    unique, unique_negative = _unique(symbols, positive), _unique(symbols, ~positive)
    either = symbols.per_head(speaks.float())
    both = symbols.per_head((speaks & (on_positive > 0) & (on_negative > 0)).float())
    silent = symbols.per_head(torch.where(speaks, 0.0, on_positive + on_negative)) / symbols.n_examples
    frequencies = (on_positive / n_positive - on_negative / n_negative).abs()
    some = either > 0
    return {
        "unique_positive": symbols.per_head(unique.float()),
        "unique_negative": symbols.per_head(unique_negative.float()),
        "unique_normalised": torch.where(some, symbols.per_head(unique.float()) / either.clamp(min=1), 0.0),
        # A head that is silent on every example is the same on both sides.
        "overlap": torch.where(some, both / either.clamp(min=1), 1.0),
        "mutual_information": _mutual_information(symbols, on_positive, on_negative),
        "total_variation": 0.5 * symbols.per_head(frequencies),
        "unique_share": symbols.per_head(torch.where(unique, on_positive, 0.0)) / n_positive,
        "silent": silent,
    }


def paired_flips(
    codes: Int[Tensor, "seed example node"], pairs: Int[Tensor, "pair side"]
) -> Float[Tensor, "seed node"] | None:
    """Return the share of pairs whose two codes differ; None without pairs. `pairs` holds example indices."""
    if not len(pairs):
        return None
    return (codes[:, pairs[:, 0]] != codes[:, pairs[:, 1]]).float().mean(dim=1)


def top_heads(
    variation: Float[Tensor, "*many node"], length: Float[Tensor, "*#many node"], size: int
) -> Bool[Tensor, "*many node"]:
    """Return a mask of the first `size` heads by total variation, ties by contrast length, as in ranking.ranked.

    Heads of zero variation have no signal and are never included, even where fewer than `size` are left.
    """
    # Rounded, so that sums taken in another order compare equal.
    rounded = (variation.double() * 1e6).round()
    order = length.expand_as(variation).argsort(dim=-1, descending=True, stable=True)
    order = order.gather(-1, rounded.gather(-1, order).argsort(dim=-1, descending=True, stable=True))
    inside = torch.zeros_like(order, dtype=torch.bool).scatter_(-1, order[..., :size], True)
    return inside & (rounded > 0)


def _unique(symbols: CodeOccurrences, rows: Bool[Tensor, " example"]) -> Bool[Tensor, " symbol"]:
    return symbols.speaks & (symbols.counts(rows) > 0) & (symbols.counts(~rows) == 0)


def _mutual_information(
    symbols: CodeOccurrences, on_positive: Tensor, on_negative: Tensor
) -> Float[Tensor, "seed node"]:
    """Return I(code; polarity) in bits, less the Miller-Madow bias (Kc - 1)(2 - 1) / (2 N ln 2)."""
    n = symbols.n_examples
    information = torch.zeros(symbols.n_seeds, symbols.n_nodes)
    occurring = on_positive + on_negative
    for counts in (on_positive, on_negative):
        expected = occurring * n_counted(symbols, counts) / n
        terms = torch.where(counts > 0, counts / n * torch.log2(counts.clamp(min=1) / expected.clamp(min=1e-9)), 0.0)
        information += symbols.per_head(terms)
    n_symbols = symbols.per_head(torch.ones_like(occurring))
    return information - (n_symbols - 1) / (2 * n * math.log(2))


def n_counted(symbols: CodeOccurrences, counts: Float[Tensor, " symbol"]) -> float:
    """Return how many examples a count covers: every example has one symbol per seed and head."""
    return float(counts.sum()) / (symbols.n_seeds * symbols.n_nodes)
