"""The contrast recipe: codes for what sets a prompt apart from its pair, not for what it is about (docs/lab).

Most of what a head writes is about the prompt's subject: names, years, words. Under a shared dictionary that is what
codes go to, and a plain difference of means finds more. Here the subject is taken out first: from every example the
mean of its pair is subtracted; where prompts are read whole, at the place where the pair parts most
(engine.capture.pair_position).
No label is read for that, so label shuffles stay a fair test.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.tensors.generators import generator

_LEVEL = 0.5
"""Share (in the exponent) of a layer's loudness that is taken out. Late layers write louder, into a stream that is
louder too; 0 leaves their idle heads in front, 1 makes an idle layer as loud as a busy one (docs/lab)."""


def contrast(
    x: Float[Tensor, "example node d_model"], pairs: Int[Tensor, "pair side"], n_heads: int
) -> Float[Tensor, "example node d_model"]:
    """Every example less the mean of its pair, layers levelled; an example in no pair less the mean of all."""
    # In place: x may be gigabytes.
    apart = x - x.mean(dim=0)
    if len(pairs):
        half = x[pairs[:, 0]]
        half -= x[pairs[:, 1]]
        half /= 2
        apart[pairs[:, 0]] = half
        apart[pairs[:, 1]] = half.neg_()
    loudness = apart.norm(dim=-1).mean(dim=0).view(-1, n_heads).mean(dim=1)
    apart /= loudness.clamp(min=1e-12).pow(_LEVEL).repeat_interleave(n_heads)[:, None]
    return apart


def contrast_apart(
    apart: Float[Tensor, "pair node d_model"], pairs: Int[Tensor, "pair side"]
) -> Float[Tensor, "example node d_model"]:
    """The contrast of examples that are all in pairs, from what parts them (engine.capture.pair_position): half of
    it on the positive
    side, its negative on the other."""
    found = apart.new_empty(2 * len(pairs), *apart.shape[1:])
    found[pairs[:, 0]] = apart / 2
    found[pairs[:, 1]] = apart / -2
    return found


def to_half_width(x: Float[Tensor, "example node d_model"]) -> float:
    """What activations are multiplied by so that their mean norm is d_model / 2.

    METHOD 3's loss then silences what is quieter than lambda times the mean, whatever the model: along a unit direction
    a latent f of an input of length r costs (r - f)^2 / d_model + lambda f, least at f = r - lambda d_model / 2.
    """
    return x.shape[-1] / 2 / max(1e-12, x.norm(dim=-1).mean().item())


def silence(sparsity: float, d_model: int) -> float:
    """The length, after `to_half_width`, below which nothing is said."""
    return sparsity * d_model / 2


def starting_rows(
    rows: Float[Tensor, "seed row d_model"], n_codes: int, seeds: tuple[int, ...], floor: float
) -> Float[Tensor, "seed latent d_model"]:
    """Where dictionaries start: directions of rows longer than the floor, drawn without putting back, by length.

    From random directions it takes hundreds of steps until a latent points at anything. Where there are more codes
    than rows, the rest are random directions: next to nothing lies along those.
    """
    made = []
    for mine, seed in zip(rows, seeds, strict=True):
        source = generator(seed, "atoms")
        weights = mine.norm(dim=-1).cpu()
        weights[weights <= floor] = 0.0
        n_drawn = min(n_codes, int((weights > 0).sum()))
        start = torch.randn(n_codes, mine.shape[1], generator=source).to(mine.device)
        if n_drawn:
            start[:n_drawn] = mine[torch.multinomial(weights, n_drawn, generator=source).to(mine.device)]
        made.append(start / start.norm(dim=1, keepdim=True))
    return torch.stack(made)


def loud_rows(rows: Float[Tensor, "seed row d_model"], floor: float) -> Int[Tensor, "seed loud"]:
    """Which rows are worth training on, ascending: those longer than the floor; as many for every seed, at least one.

    The others say nothing to begin with and stay silent, at four fifths of the cost.
    """
    norms = rows.norm(dim=-1)
    n_loud = max(1, int((norms > floor).sum(dim=1).max()))
    order = norms.argsort(dim=1, descending=True, stable=True)
    return order[:, :n_loud].sort(dim=1).values
