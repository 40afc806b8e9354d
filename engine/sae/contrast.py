"""The contrast recipe: codes for what distinguishes a prompt from its pair, not for its subject (docs/lab).

Most of what a head writes is about the prompt's subject: names, years, words. With a shared dictionary, codes are spent
on that, and a plain difference of means finds more. This recipe removes the subject first: the mean of its pair is
subtracted from every example; where prompts are read whole, at the position where the pair differs most
(engine.capture.pair_position). No label is used, so label permutations remain a valid test.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.tensors.generators import generator

_LEVEL = 0.5
"""Exponent with which a layer's output norm is divided out.

Late layers write longer vectors, into a stream that is longer too; 0 ranks their idle heads first, 1 makes an idle
layer as loud as a busy one (docs/lab).
"""


def contrast(
    x: Float[Tensor, "example node d_model"], pairs: Int[Tensor, "pair side"], n_heads: int
) -> Float[Tensor, "example node d_model"]:
    """Return every example minus the mean of its pair, layers levelled; unpaired examples minus the mean of all."""
    # In place: x may be gigabytes.
    apart = x - x.mean(dim=0)
    if len(pairs):
        half = x[pairs[:, 0]]
        half -= x[pairs[:, 1]]
        half /= 2
        apart[pairs[:, 0]] = half
        apart[pairs[:, 1]] = half.neg_()
    apart /= levels(apart, n_heads)[:, None]
    return apart


def levels(apart: Float[Tensor, "example node d_model"], n_heads: int) -> Float[Tensor, " node"]:
    """Return what each node's contrast is divided by: half of its layer's scale, as an exponent."""
    output_norm = apart.norm(dim=-1).mean(dim=0).view(-1, n_heads).mean(dim=1)
    return output_norm.clamp(min=1e-12).pow(_LEVEL).repeat_interleave(n_heads)


def contrast_apart(
    apart: Float[Tensor, "pair node d_model"], pairs: Int[Tensor, "pair side"]
) -> Float[Tensor, "example node d_model"]:
    """Return the contrast of fully paired examples from their differences (engine.capture.pair_position).

    Half of the difference on the positive, minus half of it on the negative.
    """
    found = apart.new_empty(2 * len(pairs), *apart.shape[1:])
    found[pairs[:, 0]] = apart / 2
    found[pairs[:, 1]] = apart / -2
    return found


def to_half_width(x: Float[Tensor, "example node d_model"]) -> float:
    """Return the factor that scales activations to a mean norm of d_model / 2.

    The loss then silences inputs shorter than lambda times the mean, for every model (docs/method.md 3): along a unit
    direction, a latent f of an input of length r costs (r - f)^2 / d_model + lambda f, which is least at
    f = r - lambda d_model / 2.
    """
    # In float64: float32 sums of all norms depend on how threads share them.
    return x.shape[-1] / 2 / max(1e-12, x.norm(dim=-1).double().mean().item())


def silence(sparsity: float, d_model: int) -> float:
    """Return the length, after `to_half_width`, below which a head is silent."""
    return sparsity * d_model / 2


def starting_rows(
    rows: Float[Tensor, "seed row d_model"], n_codes: int, seeds: tuple[int, ...], floor: float
) -> Float[Tensor, "seed latent d_model"]:
    """Return the initial dictionaries: directions of rows longer than the floor, drawn by length without replacement.

    From random directions, latents need hundreds of steps to align with anything. If there are more codes than rows,
    the rest are random directions: almost no input lies along those.
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
    """Return the rows to train on, ascending: those longer than the floor, as many for every seed, at least one.

    The others start silent and stay silent, and would be four fifths of the cost.
    """
    norms = rows.norm(dim=-1)
    n_loud = max(1, int((norms > floor).sum(dim=1).max()))
    order = norms.argsort(dim=1, descending=True, stable=True)
    return order[:, :n_loud].sort(dim=1).values
