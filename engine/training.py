"""Training of one run's SAEs: what they are trained on, and what is told while they train."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.config import ProbeConfig
from engine.errors import Cancelled
from engine.events import Monitor, TrainStep
from engine.randomness import generator
from engine.sae import SAEs, StepReport, Trainer
from engine.threads import threads_for

REPORT_EVERY = 25
"""Steps between two reports of the loss."""
SCORE_EVERY = 50
"""Steps between two provisional grids, at least."""


def scale_of(x: Float[Tensor, "example node d_model"], *, scale: bool) -> float:
    """What activations are multiplied by so that their mean norm is sqrt(d_model); 1 where that is not wanted."""
    if not scale:
        return 1.0
    return math.sqrt(x.shape[-1]) / max(1e-12, x.norm(dim=-1).mean().item())


def draw_training(positive: Bool[Tensor, " example"], n: int, seed: int) -> Int[Tensor, " drawn"]:
    """The examples one seed trains on: half from each polarity, more from one where the other has too few."""
    source = generator(seed, "training examples")
    sides = []
    for side in (positive, ~positive):
        rows = side.nonzero()[:, 0]
        sides.append(rows[torch.randperm(len(rows), generator=source)])
    first = min(len(sides[0]), max((n + 1) // 2, n - len(sides[1])))
    return torch.cat([sides[0][:first], sides[1][: n - first]]).sort().values


def train_saes(
    x: Float[Tensor, "example node d_model"],
    positive: Bool[Tensor, " example"],
    config: ProbeConfig,
    monitor: Monitor,
    provisional: Callable[[Int[Tensor, "seed example node"]], None],
) -> SAEs:
    """The SAEs of all seeds, trained side by side. Calls `provisional` with codes of all examples now and then.

    Raises Cancelled between two steps.
    """
    drawn = torch.stack([draw_training(positive, config.sae.training_examples, seed) for seed in config.seeds])
    rows = x[drawn.to(x.device)].flatten(1, 2).contiguous()
    with threads_for(2.0 * rows.numel() * config.sae.n_codes):
        return _train(x, rows, config, monitor, provisional)


def _train(
    x: Float[Tensor, "example node d_model"],
    rows: Float[Tensor, "seed row d_model"],
    config: ProbeConfig,
    monitor: Monitor,
    provisional: Callable[[Int[Tensor, "seed example node"]], None],
) -> SAEs:
    n_drawn = rows.shape[1] // x.shape[1]
    saes = SAEs(config.sae, config.seeds, x.shape[-1], x.device)
    trainer = Trainer(saes, rows, config.sae)
    last_codes: Tensor | None = None
    # Codes of all examples cost a fifth of a step per training set's worth of them: keep that under a tenth.
    every = max(SCORE_EVERY, math.ceil(2 * len(x) / n_drawn / SCORE_EVERY) * SCORE_EVERY)
    for done in range(config.sae.steps):
        if monitor.cancelled():
            raise Cancelled
        told = trainer.step(report=done % REPORT_EVERY == 0 or done == config.sae.steps - 1)
        if told is not None:
            codes = told.codes.view(len(config.seeds), n_drawn, -1)
            monitor.report(_as_event(told, codes, last_codes, done + 1, config.sae.steps))
            last_codes = codes
        if done + 1 < config.sae.steps and (done + 1) % every == 0:
            provisional(codes_of(saes, x))
    return saes


def codes_of(saes: SAEs, x: Float[Tensor, "example node d_model"]) -> Int[Tensor, "seed example node"]:
    """Every seed's code for every head on every example, on the CPU."""
    with torch.inference_mode():
        return saes.codes(x.flatten(0, 1)).view(-1, *x.shape[:2]).to("cpu", torch.int32)


def _as_event(told: StepReport, codes: Tensor, before: Tensor | None, step: int, total: int) -> TrainStep:
    moved = (codes != before).any(dim=1).sum(dim=1) if before is not None else torch.full((len(codes),), codes.shape[2])
    return TrainStep(
        step=step,
        total=total,
        reconstruction=_finite(told.reconstruction.tolist()),
        sparsity=_finite(told.sparsity.tolist()),
        moving=tuple(moved.tolist()),
    )


def _finite(numbers: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(number if math.isfinite(number) else None for number in numbers)
