"""Rank heads on bootstrap draws of the examples, for intervals of an AUC."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.results import Resampled
from engine.scoring.merging import merge_by_share

N_DRAWS = 12
"""Draws stored with a run: as many bytes per head and measure."""
_LEVELS = 255


def resampled_ranks(
    codes_score: Float[Tensor, "draw node"],
    codes_length: Float[Tensor, "draw node"],
    x: Float[Tensor, "example node d_model"],
    positive: Bool[Tensor, " example"],
    pairs: Int[Tensor, "pair side"],
    weights: Float[Tensor, "draw example"],
    kinds: Int[Tensor, " node"] | None = None,
) -> tuple[Resampled, ...]:
    """Return the ranks of all heads on every draw, by codes (ties by length) and by each baseline that is a mean.

    `weights`: how often each example is in a draw. The linear probe is left out: it would have to be fitted again.
    """
    found = {
        "total_variation": _ranks(codes_score, codes_length, kinds=kinds),
        "contrast_length": _ranks(codes_length, kinds=kinds),
    }
    on_device = weights.to(x.device)
    sides = [on_device * side.to(x.device) for side in (positive, ~positive)]
    means = [torch.einsum("de,enm->dnm", side / side.sum(dim=1, keepdim=True).clamp(min=1), x) for side in sides]
    found["baseline_mean_difference"] = _ranks((means[0] - means[1]).norm(dim=-1).cpu(), kinds=kinds)
    if len(pairs):
        within = (x[pairs[:, 0].to(x.device)] - x[pairs[:, 1].to(x.device)]).norm(dim=-1).cpu()
        times = weights[:, pairs[:, 0]]
        mean = times @ within / times.sum(dim=1, keepdim=True).clamp(min=1)
        norms = weights @ x.norm(dim=-1).cpu() / weights.sum(dim=1, keepdim=True).clamp(min=1)
        found["baseline_paired_difference"] = _ranks(mean / norms.clamp(min=1e-12), kinds=kinds)
    return tuple(Resampled(measure=name, ranks=ranks.flatten().numpy().tobytes()) for name, ranks in found.items())


def _ranks(*keys: Float[Tensor, "draw node"], kinds: Int[Tensor, " node"] | None) -> Int[Tensor, "draw node"]:
    """Return each node's rank on each draw, 255 for the best, 0 for the worst; later keys break ties."""
    order = keys[-1].argsort(dim=1, stable=True)
    for values in reversed(keys[:-1]):
        rounded = (values.double() * 1e6).round()
        order = order.gather(1, rounded.gather(1, order).argsort(dim=1, stable=True))
    last = order.shape[1] - 1
    merged = merge_by_share(last - order.argsort(dim=1), kinds)
    return ((last - merged) * _LEVELS // max(1, last)).to(torch.uint8)
