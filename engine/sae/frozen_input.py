"""The SAE's input of a finished run, for prompts that were not in it: its means, levels and scale are kept."""

import math

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.config import SAEConfig
from engine.sae.contrast import contrast_apart, levels, to_half_width


class FrozenInput(msgspec.Struct, frozen=True, kw_only=True):
    """How one group of nodes (heads, or embedding and MLPs) was prepared in a run (engine.sae.training.prepare).

    `prepare` takes all examples at once, and its numbers depend on them; here they are those of the run.
    """

    whole: bool
    """True if inputs are differences of pairs at each node's own position."""
    contrast: bool
    factor: float
    mean: Float[Tensor, "node d_model"] | None
    """Of all examples: the contrast of a prompt without a pair."""
    level: Float[Tensor, " node"] | None

    @classmethod
    def of(
        cls,
        x: Float[Tensor, "example node d_model"],
        pairs: Int[Tensor, "pair side"],
        n_heads: int,
        config: SAEConfig,
        apart: Float[Tensor, "pair node d_model"] | None = None,
        *,
        uncounted: int = 0,
    ) -> "FrozenInput":
        """Return how these outputs of a run's examples are prepared. Arguments as in `prepare`."""
        if config.recipe != "contrast":
            norms = x[:, uncounted:].norm(dim=-1).double().mean().item()
            factor = math.sqrt(x.shape[-1]) / max(1e-12, norms) if config.scale else 1.0
            return cls(whole=False, contrast=False, factor=factor, mean=None, level=None)
        whole = apart is not None and 2 * len(pairs) == len(x)
        if apart is not None and whole:
            shown = contrast_apart(apart, pairs)
            factor = to_half_width(shown[:, uncounted:]) if config.scale else 1.0
            return cls(whole=True, contrast=True, factor=factor, mean=None, level=None)
        mean = x.mean(dim=0)
        shown = x - mean
        if len(pairs):
            half = (x[pairs[:, 0]] - x[pairs[:, 1]]) / 2
            shown[pairs[:, 0]], shown[pairs[:, 1]] = half, -half
        level = levels(shown, n_heads)
        shown /= level[:, None]
        factor = to_half_width(shown[:, uncounted:]) if config.scale else 1.0
        return cls(whole=False, contrast=True, factor=factor, mean=mean, level=level)

    def of_differences(self, apart: Float[Tensor, "pair d_model"]) -> Float[Tensor, "pair d_model"]:
        """Return the input of a node for the first side of pairs, from its differences, where inputs are `whole`."""
        return apart / 2 * self.factor

    def of_pairs(
        self, node: int, x: Float[Tensor, "pair d_model"], other: Float[Tensor, "pair d_model"]
    ) -> Float[Tensor, "pair d_model"]:
        """Return the input of one node for the first side of pairs. Not where inputs are `whole`."""
        if not self.contrast:
            return x * self.factor
        assert self.level is not None
        return (x - other) / 2 / self.level[node] * self.factor

    def of_singles(self, node: int, x: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """Return the input of one node for prompts without a pair. Not where inputs are `whole`: pairs are needed."""
        assert not self.whole
        if not self.contrast:
            return x * self.factor
        assert self.mean is not None
        assert self.level is not None
        return (x - self.mean[node]) / self.level[node] * self.factor


def latents_of(
    encoder: Float[Tensor, "latent d_model"],
    threshold: Float[Tensor, " latent"],
    bias: Float[Tensor, " d_model"],
    x: Float[Tensor, "row d_model"],
) -> Float[Tensor, "row latent"]:
    """Return relu((x - b) W_e + c) of one seed's SAE (engine.sae.autoencoder.SAEs.latents)."""
    return torch.addmm(threshold - encoder @ bias, x, encoder.T).relu_()
