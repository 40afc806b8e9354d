"""Codes: the index of each head's largest latent, as an integer (docs/method.md 4)."""

from jaxtyping import Float, Int
from torch import Tensor

from engine.results import NO_CODE


def discretise(latents: Float[Tensor, "*batch latent"]) -> Int[Tensor, "*batch"]:
    """Return the index of the largest latent.

    A silent head gets NO_CODE: argmax of all zeros is 0, and 0 is a valid code.
    """
    largest, index = latents.max(dim=-1)
    return index.masked_fill(largest <= 0, NO_CODE)
