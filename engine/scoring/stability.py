"""Measure whether other seeds and bootstraps of the examples give the same circuit. Needs only codes."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.results import CircuitStability
from engine.scoring.code_occurrences import CodeOccurrences, top_nodes
from engine.tensors.generators import generator

N_BOOTSTRAPS = 100
_BLOCK_CELLS = 1 << 24


def measure_stability(
    codes: Int[Tensor, "seed example node"],
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    length: Float[Tensor, "example node"],
    size: int,
    *,
    seed: int,
    clusters: Sequence[int] | None = None,
    n_bootstraps: int = N_BOOTSTRAPS,
    kinds: Int[Tensor, " node"] | None = None,
) -> CircuitStability:
    """Compare circuits of `size` heads between seeds, and the run's circuit with those of bootstraps over examples.

    Circuits are cut by total variation, ties by `length` (of each head's contrast). `clusters`: of the pairs
    (engine.authoring.distinct_pairs). `kinds`: of the nodes (engine.scoring.merging); None: all are heads.
    """
    symbols = CodeOccurrences(codes)
    once = torch.ones(1, symbols.n_examples)
    variation, lengths = bootstrap_scores(symbols, positive, length, once)
    by_seed = top_nodes(variation, lengths[:, None], size, kinds)[0]
    run = top_nodes(variation.mean(dim=1), lengths, size, kinds)[0]
    weights = resample(positive, pairs, n_bootstraps, seed, clusters)
    variation, lengths = bootstrap_scores(symbols, positive, length, weights)
    drawn = top_nodes(variation.mean(dim=1), lengths, size, kinds)
    between = [
        float(_jaccard(by_seed[one], by_seed[other]))
        for one in range(symbols.n_seeds)
        for other in range(one + 1, symbols.n_seeds)
    ]
    return CircuitStability(
        seeds=round(sum(between) / len(between), 4) if between else None,
        bootstraps=round(float(_jaccard(drawn, run).mean()), 4),
        n_bootstraps=n_bootstraps,
        heads=tuple(round(share, 4) for share in drawn.float().mean(dim=0).tolist()),
    )


def resample(
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    n: int,
    seed: int,
    clusters: Sequence[int] | None = None,
) -> Float[Tensor, "draw example"]:
    """Return how often each example is in each bootstrap draw.

    Clusters of pairs, and unpaired examples of each side, are drawn with replacement, as many as there are. Without
    `clusters` each pair is its own cluster.
    """
    source = generator(seed, "bootstrap")
    weights = torch.zeros(n, len(positive))
    alone = torch.ones(len(positive), dtype=torch.bool)
    alone[pairs.reshape(-1)] = False
    if len(pairs):
        cluster = torch.arange(len(pairs)) if clusters is None else torch.tensor(clusters)
        counts = _counts(int(cluster.max()) + 1, n, source)[:, cluster]
        for side in range(2):
            weights[:, pairs[:, side]] = counts
    for rows in ((side & alone).nonzero()[:, 0] for side in (positive, ~positive)):
        if len(rows):
            weights[:, rows] = _counts(len(rows), n, source)
    return weights


def _counts(size: int, n: int, source: torch.Generator) -> Float[Tensor, "draw unit"]:
    """Return how often each of `size` units is in each of `n` draws of `size` with replacement."""
    picks = torch.randint(size, (n, size), generator=source)
    return torch.zeros(n, size).scatter_add_(1, picks, torch.ones(n, size))


def bootstrap_scores(
    symbols: CodeOccurrences,
    positive: Bool[Tensor, " example"],
    length: Float[Tensor, "example node"],
    weights: Float[Tensor, "draw example"],
) -> tuple[Float[Tensor, "draw seed node"], Float[Tensor, "draw node"]]:
    """Return total variation and mean length on positives, with examples weighted by how often they were drawn."""
    carried = symbols.carried()
    sides = positive.float()
    shape = (symbols.n_seeds, symbols.n_nodes)
    variations = []
    for block in weights.split(max(1, _BLOCK_CELLS // max(1, len(symbols.owner)))):
        on_positive, on_negative = (block * sides) @ carried, (block * (1 - sides)) @ carried
        share_positive = on_positive / (block * sides).sum(dim=1)[:, None].clamp(min=1)
        share_negative = on_negative / (block * (1 - sides)).sum(dim=1)[:, None].clamp(min=1)
        variation = (share_positive - share_negative).abs() / 2
        sums = torch.zeros(len(block), symbols.n_seeds * symbols.n_nodes)
        variations.append(sums.index_add_(1, symbols.owner, variation).view(len(block), *shape))
    on_positives = weights * sides
    lengths = on_positives @ length / on_positives.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.cat(variations), lengths


def _jaccard(one: Bool[Tensor, "*many node"], other: Bool[Tensor, " node"]) -> Float[Tensor, "*many"]:
    return (one & other).sum(dim=-1) / (one | other).sum(dim=-1).clamp(min=1)
