"""Merge the rankings of heads and of MLPs by share, as engine.analysis.ranking.ranked does, for many draws at once."""

import torch
from jaxtyping import Int
from torch import Tensor

from engine.nodes import NodeLayout


def kinds_of(layout: NodeLayout) -> Int[Tensor, " node"] | None:
    """Return the kind of every node as a number: 0 for heads, 1 for MLPs, 2 for the embedding; None for heads alone."""
    if not layout.n_outputs:
        return None
    return torch.tensor([("head", "mlp", "embedding").index(node.kind) for node in layout.ids])


def merge_by_share(place: Int[Tensor, "*many node"], kinds: Int[Tensor, " node"] | None) -> Int[Tensor, "*many node"]:
    """Return places (0: the best) in which a tenth of the ranking is a tenth of every kind; ties as in `place`.

    `place`: of all kinds together. None for `kinds`: the places as they are.
    """
    if kinds is None:
        return place
    n = place.shape[-1]
    share = torch.zeros(place.shape, dtype=torch.float64)
    for kind in kinds.unique().tolist():
        own = kinds == kind
        share[..., own] = place[..., own].argsort(dim=-1).argsort(dim=-1).double() / int(own.sum())
    # Shares differ by at least one over n squared.
    return (share + place.double() / (2.0 * n**3)).argsort(dim=-1).argsort(dim=-1)
