"""Baselines that need no SAE: the numbers codes have to beat (docs/method.md 6)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.analysis.ranking import auc
from engine.tensors.generators import generator

_CELLS = 1 << 24
"""Cells of the kernel over examples for the heads solved at once: 64 MB, four times over. 2,000 prompts took 2 GB."""


def mean_difference(
    x: Float[Tensor, "example node d_model"], positive: Bool[Tensor, " example"]
) -> Float[Tensor, " node"]:
    """Return the norm of the difference of the two sides' mean outputs."""
    return (x[positive].mean(dim=0) - x[~positive].mean(dim=0)).norm(dim=-1)


def paired_difference(
    x: Float[Tensor, "example node d_model"], pairs: Int[Tensor, "pair side"]
) -> Float[Tensor, " node"] | None:
    """Return the mean norm of the difference within a pair over the head's mean norm; None without pairs."""
    if not len(pairs):
        return None
    within = (x[pairs[:, 0]] - x[pairs[:, 1]]).norm(dim=-1).mean(dim=0)
    return within / x.norm(dim=-1).mean(dim=0).clamp(min=1e-12)


def linear_probe(
    x: Float[Tensor, "example node d_model"], positive: Bool[Tensor, " example"], *, heads_at_once: int = 64
) -> Float[Tensor, " node"]:
    """Return the AUC of leave-one-out ridge predictions of polarity from each head's output.

    In closed form: the hat matrix of centred ridge regression gives every left-out prediction from one solve (Allen
    1974's PRESS residual e / (1 - h)); the ridge is the mean eigenvalue of the examples' kernel.
    """
    n, d_model = len(positive), x.shape[2]
    labels = positive.to(x.dtype)
    centred_labels = labels - labels.mean()
    truth = positive.tolist()
    found: list[float] = []
    heads_at_once = max(1, min(heads_at_once, _CELLS // n**2))
    for block in x.split(heads_at_once, dim=1):
        outputs = (block - block.mean(dim=0)).transpose(0, 1)
        ridge = (outputs.square().sum(dim=(1, 2)) / n).clamp(min=1e-12)
        fit = _fit_by_width if d_model < n else _fit_by_examples
        predicted, leverage = fit(outputs, centred_labels, ridge)
        residual = centred_labels - predicted
        left_out = labels - residual / (1 - leverage - 1 / n).clamp(min=1e-6)
        found += [auc(scores, truth) or 0.5 for scores in left_out.tolist()]
    return torch.tensor(found)


# Cholesky, as the matrices are symmetric and positive definite: the general solver of torch 2.13's MKL fails with more
# than one thread from some 200 rows on ("Pivots given to lu_solve must all be ...").


def _fit_by_examples(
    outputs: Float[Tensor, "head example d_model"], labels: Float[Tensor, " example"], ridge: Float[Tensor, " head"]
) -> tuple[Float[Tensor, "head example"], Float[Tensor, "head example"]]:
    """Return ridge predictions and leverages (the hat matrix's diagonal), by one solve over examples."""
    kernel = outputs @ outputs.transpose(1, 2)
    eye = torch.eye(outputs.shape[1], device=outputs.device)
    hat = torch.cholesky_solve(kernel, torch.linalg.cholesky(kernel + ridge[:, None, None] * eye))
    return hat.transpose(1, 2) @ labels, hat.diagonal(dim1=1, dim2=2)


def _fit_by_width(
    outputs: Float[Tensor, "head example d_model"], labels: Float[Tensor, " example"], ridge: Float[Tensor, " head"]
) -> tuple[Float[Tensor, "head example"], Float[Tensor, "head example"]]:
    """Return the same by one solve over d_model, which is cheaper if that is less than the number of examples."""
    gram = outputs.transpose(1, 2) @ outputs
    eye = torch.eye(outputs.shape[2], device=outputs.device)
    factor = torch.linalg.cholesky(gram + ridge[:, None, None] * eye)
    half = torch.linalg.solve_triangular(factor, outputs.transpose(1, 2), upper=False)
    return (half.transpose(1, 2) @ (half @ labels)[:, :, None])[:, :, 0], half.square().sum(dim=1)


def random_score(n_nodes: int, seed: int) -> Float[Tensor, " node"]:
    """Return numbers between 0 and 1 that carry no information."""
    return torch.rand(n_nodes, generator=generator(seed, "baseline"))
