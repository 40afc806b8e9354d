"""Train one run's SAEs: their inputs, the training loop, and its reports."""

import math
import time
from collections.abc import Callable, Sequence

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.config import ProbeConfig, SAEConfig
from engine.errors import Cancelled
from engine.events import Monitor, TrainStep
from engine.sae.autoencoder import SAEs, StepReport, Trainer, resolved_sparsity
from engine.sae.contrast import contrast, contrast_apart, loud_rows, silence, starting_rows, to_half_width
from engine.tensors.generators import generator
from engine.tensors.threads import adapt_threads, threads_for

REPORT_EVERY = 25
"""Maximum steps between two reports of the loss; a short training reports twenty times."""
DIVERGED = 10.0
"""Ratio of last to first reconstruction error above which training diverged."""
SCORE_EVERY = 50
"""Steps between two provisional score tables."""
SCORE_AFTER_S = 0.3
"""Minimum seconds between extra provisional score tables of a short training; they take at most a tenth of the time."""


def prepare(
    x: Float[Tensor, "example node d_model"],
    pairs: Int[Tensor, "pair side"],
    n_heads: int,
    config: SAEConfig,
    apart: Float[Tensor, "pair node d_model"] | None = None,
    *,
    uncounted: int = 0,
) -> Float[Tensor, "example node d_model"]:
    """Return the SAE's input from the nodes' outputs, by the recipe.

    `apart`: differences of the pairs at each head's own position, where examples are read whole; the contrast is made
    of them if every example has a pair. `uncounted`: leading nodes that do not count for the scale.
    """
    if config.recipe == "contrast":
        whole = apart is not None and 2 * len(pairs) == len(x)
        shown = contrast_apart(apart, pairs) if apart is not None and whole else contrast(x, pairs, n_heads)
        return shown.mul_(to_half_width(shown[:, uncounted:])) if config.scale else shown
    return x * _to_root_width(x[:, uncounted:]) if config.scale else x


def contrast_lengths(
    shown: Float[Tensor, "example node d_model"],
    outputs: Float[Tensor, "example node d_model"],
    pairs: Int[Tensor, "pair side"],
    n_heads: int,
    config: SAEConfig,
    apart: Float[Tensor, "pair node d_model"] | None = None,
) -> Float[Tensor, "example node"]:
    """Return the length of each head's contrast on each example.

    Of the SAE's input where that consists of contrasts, else of the contrasts that the other recipe would use.
    """
    if config.recipe != "contrast":
        shown = prepare(outputs, pairs, n_heads, msgspec.structs.replace(config, recipe="contrast"), apart)
    return shown.norm(dim=-1)


def _to_root_width(x: Float[Tensor, "example node d_model"]) -> float:
    """Return the factor that scales activations to a mean norm of sqrt(d_model)."""
    # In float64: float32 sums of all norms depend on how threads share them.
    return math.sqrt(x.shape[-1]) / max(1e-12, x.norm(dim=-1).double().mean().item())


def draw_training(positive: Bool[Tensor, " example"], n: int, seed: int) -> Int[Tensor, " drawn"]:
    """Return the examples one seed trains on: half of each polarity, more of one where the other has too few."""
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
    pairs: Int[Tensor, "pair side"] | None = None,
) -> SAEs:
    """Train the SAEs of all seeds side by side. Calls `provisional` with codes of all examples from time to time.

    `pairs`: rows of x, the positive first; with them, the contrast of pairs costs half as many products. Raises
    Cancelled between two steps.
    """
    drawn = torch.stack([draw_training(positive, config.sae.training_examples, seed) for seed in config.seeds])
    rows = x[drawn.to(x.device)].flatten(1, 2).contiguous()
    nodes = torch.arange(x.shape[1]).repeat(drawn.shape[1]).expand(len(rows), -1)
    floor, start, mirrored = 0.0, None, False
    if config.sae.recipe == "contrast":
        floor = silence(resolved_sparsity(config.sae), x.shape[-1])
        start = starting_rows(rows, config.sae.n_codes, config.seeds, floor)
        mirrored = pairs is not None and _mirrored(x, pairs, drawn)
        if mirrored and pairs is not None:  # the positives' rows, then the same rows of their partners
            sides = [x[pairs[:, side].to(x.device)].flatten(0, 1) for side in (0, 1)]
            rows = torch.cat(sides).expand(len(rows), -1, -1)
        half = rows.shape[1] // 2
        loud = loud_rows(rows[:, :half] if mirrored else rows, floor)
        loud = torch.cat([loud, loud + half], dim=1) if mirrored else loud
        rows = rows.gather(1, loud[:, :, None].expand(-1, -1, rows.shape[2]))
        nodes = nodes.gather(1, loud.cpu())
    operations = 2.0 * rows.numel() * config.sae.n_codes
    with threads_for(operations):
        saes = SAEs(config.sae, config.seeds, x.shape[-1], x.device, start=start, silence=floor)
        trainer = Trainer(saes, rows, config.sae, mirrored=mirrored)
        _train(trainer, x, nodes, config, monitor, provisional, operations)
    return saes


def _mirrored(
    x: Float[Tensor, "example node d_model"], pairs: Int[Tensor, "pair side"], drawn: Int[Tensor, "seed drawn"]
) -> bool:
    """Return whether every seed trains on all pairs and on nothing else, and each pair's two rows add up to zero."""
    every = pairs.flatten().sort().values
    return (
        drawn.shape[1] == len(every)
        and bool((drawn == every).all())
        and torch.equal(x[pairs[:, 0].to(x.device)], -x[pairs[:, 1].to(x.device)])
    )


def _train(
    trainer: Trainer,
    x: Float[Tensor, "example node d_model"],
    nodes: Int[Tensor, "seed row"],
    config: ProbeConfig,
    monitor: Monitor,
    provisional: Callable[[Int[Tensor, "seed example node"]], None],
    operations: float,
) -> None:
    """`operations`: floating-point operations of a step's product."""
    saes, rows = trainer.saes, trainer.x
    last_codes: Tensor | None = None
    first: StepReport | None = None
    steps = config.sae.steps
    report_every = max(1, min(REPORT_EVERY, steps // 20))
    # Codes of all examples cost a fifth of a step per training set of rows: keep that below a tenth.
    n_rows = x.shape[0] * x.shape[1]
    dear = math.ceil(2 * n_rows / rows.shape[1])
    every = max(SCORE_EVERY, math.ceil(dear / SCORE_EVERY) * SCORE_EVERY)
    often = max(dear, steps // 10, 1)
    scored, cost = time.monotonic(), 0.0
    for done in range(steps):
        if monitor.cancelled():
            raise Cancelled
        adapt_threads(operations)
        step_report = trainer.step(report=done % report_every == 0 or done == steps - 1)
        if step_report is not None:
            moving = _moving(step_report.codes.cpu(), last_codes, nodes, x.shape[1])
            monitor.report(_as_event(step_report, moving, done + 1, steps))
            first = step_report if first is None else first
            saes.diverged = bool((~(step_report.reconstruction <= DIVERGED * first.reconstruction)).any())
            last_codes = step_report.codes.cpu()
        waited = (done + 1) % often == 0 and time.monotonic() - scored > max(SCORE_AFTER_S, 9 * cost)
        if done + 1 < steps and ((done + 1) % every == 0 or waited):
            began = time.monotonic()
            provisional(codes_of(saes, x))
            scored = time.monotonic()
            cost = scored - began


def codes_of(saes: SAEs, x: Float[Tensor, "example node d_model"]) -> Int[Tensor, "seed example node"]:
    """Return every seed's code for every head on every example, on the CPU."""
    with torch.inference_mode():
        return saes.codes(x.flatten(0, 1)).view(-1, *x.shape[:2]).to("cpu", torch.int32)


def _moving(
    codes: Int[Tensor, "seed row"], before: Int[Tensor, "seed row"] | None, nodes: Int[Tensor, "seed row"], n_nodes: int
) -> tuple[int, ...]:
    """Return how many heads' codes changed on any training row since the last report; all of them at the first."""
    if before is None:
        return (n_nodes,) * len(codes)
    return tuple(len(owners[changed].unique()) for owners, changed in zip(nodes, codes != before, strict=True))


def _as_event(step_report: StepReport, moving: tuple[int, ...], step: int, total: int) -> TrainStep:
    return TrainStep(
        step=step,
        total=total,
        reconstruction=_finite(step_report.reconstruction.tolist()),
        sparsity=_finite(step_report.sparsity.tolist()),
        moving=moving,
    )


def _finite(numbers: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(number if math.isfinite(number) else None for number in numbers)
