"""Direct effects of a run: means over the positives, as shares of the answer."""

import msgspec
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.results import DirectSum


class MeanDirect(msgspec.Struct, frozen=True, kw_only=True):
    """Each node's direct effect, in the mean over positives."""

    mean: Float[Tensor, " node"]
    """In logits; below 0: the node speaks against the answer."""
    answer: float
    """The mean of the answer's logit."""
    n_examples: int

    @property
    def share(self) -> Float[Tensor, " node"]:
        """The size of each, as a share of the answer; in logits where that is zero."""
        return self.mean.abs() / (abs(self.answer) if abs(self.answer) > 1e-9 else 1.0)

    @property
    def total(self) -> DirectSum:
        nodes = float(self.mean.sum())
        return DirectSum(
            answer=round(self.answer, 6),
            nodes=round(nodes, 6),
            rest=round(self.answer - nodes, 6),
            n_examples=self.n_examples,
        )


class DirectEffects(msgspec.Struct, frozen=True, kw_only=True):
    """What each node adds to the answer's logit on each example (engine.capture.direct_effects)."""

    nodes: Float[Tensor, "example node"]
    """NaN in examples without an expected token."""
    answer: Float[Tensor, " example"]

    def of_positives(self, rows: Int[Tensor, " counted"], positive: Bool[Tensor, " counted"]) -> MeanDirect | None:
        """Return the means over the positives among these rows; None if none of them has an expected token."""
        chosen = rows[positive]
        chosen = chosen[~self.answer[chosen].isnan()]
        if not len(chosen):
            return None
        return MeanDirect(
            mean=self.nodes[chosen].mean(dim=0), answer=float(self.answer[chosen].mean()), n_examples=len(chosen)
        )
