"""Whether the same circuit comes out of other seeds and of resampled examples. Needs only codes."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.randomness import generator
from engine.results import Steadiness
from engine.score import Symbols, best

N_BOOTSTRAPS = 100
_BLOCK_CELLS = 1 << 24


def steadiness(
    codes: Int[Tensor, "seed example node"],
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    size: int,
    *,
    seed: int,
    n_bootstraps: int = N_BOOTSTRAPS,
) -> Steadiness:
    """Circuits of `size` heads by total variation: between seeds, and between the run and bootstraps over examples."""
    symbols = Symbols(codes)
    once = torch.ones(1, symbols.n_examples)
    scores = _scores(symbols, positive, once)
    by_seed = best(scores, size)[0]
    run = best([each.mean(dim=1) for each in scores], size)[0]
    weights = resample(positive, pairs, n_bootstraps, seed)
    drawn = best([each.mean(dim=1) for each in _scores(symbols, positive, weights)], size)
    between = [
        float(_jaccard(by_seed[one], by_seed[other]))
        for one in range(symbols.n_seeds)
        for other in range(one + 1, symbols.n_seeds)
    ]
    return Steadiness(
        seeds=round(sum(between) / len(between), 4) if between else None,
        bootstraps=round(float(_jaccard(drawn, run).mean()), 4),
        n_bootstraps=n_bootstraps,
        heads=tuple(round(share, 4) for share in drawn.float().mean(dim=0).tolist()),
    )


def resample(
    positive: Bool[Tensor, " example"], pairs: Int[Tensor, "pair side"], n: int, seed: int
) -> Float[Tensor, "draw example"]:
    """How often each example is in each draw: as many pairs, and as many unpaired of each side, as there are."""
    source = generator(seed, "bootstrap")
    weights = torch.zeros(n, len(positive))
    alone = torch.ones(len(positive), dtype=torch.bool)
    alone[pairs.reshape(-1)] = False
    groups = [pairs, *((side & alone).nonzero() for side in (positive, ~positive))]
    for rows in groups:
        if len(rows):
            picks = torch.randint(len(rows), (n, len(rows)), generator=source)
            counts = torch.zeros(n, len(rows)).scatter_add_(1, picks, torch.ones(n, len(rows)))
            for side in range(rows.shape[1]):
                weights[:, rows[:, side]] = counts
    return weights


def _scores(
    symbols: Symbols, positive: Bool[Tensor, " example"], weights: Float[Tensor, "draw example"]
) -> tuple[Float[Tensor, "draw seed node"], ...]:
    """Total variation, unique codes and share of positives with one, for examples that count so often."""
    carried = symbols.carried()
    sides = positive.float()
    shape = (symbols.n_seeds, symbols.n_nodes)
    kept: tuple[list[Tensor], ...] = ([], [], [])
    for block in weights.split(max(1, _BLOCK_CELLS // max(1, len(symbols.owner)))):
        on_positive, on_negative = (block * sides) @ carried, (block * (1 - sides)) @ carried
        unique = (on_positive > 0) & (on_negative == 0) & symbols.speaks
        share_positive = on_positive / (block * sides).sum(dim=1)[:, None].clamp(min=1)
        share_negative = on_negative / (block * (1 - sides)).sum(dim=1)[:, None].clamp(min=1)
        variation = (share_positive - share_negative).abs() / 2
        for values, into in zip((variation, unique.float(), share_positive * unique), kept, strict=True):
            sums = torch.zeros(len(block), symbols.n_seeds * symbols.n_nodes)
            into.append(sums.index_add_(1, symbols.owner, values).view(len(block), *shape))
    return tuple(torch.cat(each) for each in kept)


def _jaccard(one: Bool[Tensor, "*many node"], other: Bool[Tensor, " node"]) -> Float[Tensor, "*many"]:
    return (one & other).sum(dim=-1) / (one | other).sum(dim=-1).clamp(min=1)
