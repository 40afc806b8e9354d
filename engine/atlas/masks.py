"""Which keys count for which metric of attention, for the rows of one batch."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

COLUMNS = ("previous", "first", "itself", "others", "offset", "duplicate", "induction")
"""What `weights` has a column for."""
SKIPPED = 2
"""Positions at a row's beginning that are no queries: from there on the token before is not the first position."""


class BatchMasks:
    """Masks and weights over queries and keys, the same for every head of every layer.

    The first position takes what attention is left over in many heads. It is a column of its own; no other metric
    counts it as a key but `previous`, which no query has there, and `entropy`.
    """

    def __init__(self, tokens: Int[Tensor, "row position"], lengths: Int[Tensor, " row"]) -> None:
        n_positions = tokens.shape[1]
        places = torch.arange(n_positions, device=tokens.device)
        self.tokens, self.lengths = tokens, lengths
        self.queries: Bool[Tensor, "row query"] = (places >= SKIPPED) & (places < lengths[:, None])
        query, key = places[:, None], places[None, :]
        earlier = (key < query) & (key >= 1)
        self.earlier: Bool[Tensor, "query key"] = earlier
        """Keys before the query other than the first position."""
        same = (tokens[:, :, None] == tokens[:, None, :]) & earlier
        followed = torch.zeros_like(same)
        followed[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]
        followed &= earlier
        counted = self.queries[:, :, None]
        self.has_duplicate: Bool[Tensor, "row query"] = (same & counted).any(dim=-1)
        self.has_induction: Bool[Tensor, "row query"] = (followed & counted).any(dim=-1)
        every = (
            (key == query - 1).expand_as(same),
            (key == 0).expand_as(same),
            (key == query).expand_as(same),
            ((key >= 1) & (key <= query)).expand_as(same),
            ((query - key) * (key >= 1)).expand_as(same),
            same,
            followed,
        )
        columns = torch.stack([(each * counted).to(torch.float32) for each in every], dim=-1)
        self.weights: Float[Tensor, "row query*key column"] = columns.flatten(1, 2)

    @property
    def counts(self) -> Float[Tensor, "3"]:
        """Queries, those with an earlier occurrence, and those whose earlier occurrence was followed by a token."""
        found = [self.queries.sum(), self.has_duplicate.sum(), self.has_induction.sum()]
        return torch.stack(found).to(torch.float64)

    def even(self) -> Float[Tensor, "row key"]:
        """Return the attention that each key would receive if every query's were even over the earlier keys."""
        n_earlier = self.earlier.sum(dim=-1).clamp(min=1)
        weights = self.earlier / n_earlier[:, None]
        return self.queries.to(torch.float32) @ weights.to(torch.float32)
