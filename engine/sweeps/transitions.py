"""Fit the transition of a measure over training steps: when it comes, how sharp it is, what came first.

The curve is a logistic in the logarithm of the step. Whether there is a transition is decided by AICc against a
straight line in the same logarithm (docs/method.md 7). Plain Python: clients of the store list transitions, too.
"""

import itertools
import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec

from engine.errors import ConfigError
from engine.sweeps.logistic import TENTH_TO_NINE_TENTHS, LogisticFit, LogisticGrid, share_at, step_at

Replicates = Sequence[Sequence[float]]
"""Resampled curves of means, one value for each measured step."""
Verdict = Literal["transition", "none", "too_few_steps"]
"""none: a straight line (or a constant) describes the curve as well."""

CONFIDENCE = 0.95
"""Coverage of the intervals."""
RESAMPLES = 200
LEAST_STEPS = 7
"""Fewer give AICc no degree of freedom for the five numbers of a logistic (four and the noise)."""
MARGIN = 4.0
"""AICc by which the logistic must be better than the line.

The jump of a logistic is put wherever noise happens to jump, which AICc does not charge for: over 40 checkpoints of a
flat noisy curve, 21 in 100 had a transition without a margin, 2 with this one (docs/lab/2026-11-30-adder.md).
"""
_FLOOR = 1e-9
"""Smallest share of a curve's variance that counts as unexplained, so that a perfect fit has a finite AICc."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A measure at training steps, once per draw of the examples."""

    steps: tuple[int, ...]
    """Rising, none twice."""
    draws: tuple[tuple[float | None, ...], ...]
    """One row per draw, a value per step; None: not measured."""

    def __post_init__(self) -> None:
        if any(later <= earlier for earlier, later in itertools.pairwise(self.steps)):
            raise ConfigError(f"The steps {list(self.steps)} do not rise.", hint="Give each step once, in order.")
        if self.steps and self.steps[0] < 0:
            raise ConfigError(f"Step {self.steps[0]} is below 0.", hint="Steps count from 0.")
        if not self.draws or any(len(row) != len(self.steps) for row in self.draws):
            raise ConfigError(
                f"{len(self.steps)} steps, and draws of {[len(row) for row in self.draws]} values.",
                hint="Give at least one draw, with a value or None for every step.",
            )


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """When a measure changed during training. All numbers are None without a transition."""

    verdict: Verdict
    midpoint: float | None = None
    """The step at which half of the change is done."""
    earliest: float | None = None
    latest: float | None = None
    """The interval of the midpoint (CONFIDENCE): bootstrap, and never narrower than the checkpoints resolve."""
    begins: float | None = None
    ends: float | None = None
    """The steps at which 10 and 90 percent of the change are done."""
    width: float | None = None
    """Natural logarithm of `ends` + 1 over `begins` + 1: 0.7 means that the steps doubled meanwhile."""
    unfinished: bool = False
    """True if less than 90 percent of the change is done at the last checkpoint: its end is extrapolated."""
    before: float | None = None
    after: float | None = None
    """The measure long before and long after."""
    explained: float | None = None
    """Share of the variance over steps that the logistic explains."""
    better_by: float | None = None
    """AICc of the line minus AICc of the logistic; None with too few steps."""
    resampled: tuple[float, ...] = ()
    """Midpoints of the resampled curves, in an order that two curves over the same draws share."""

    @property
    def rises(self) -> bool:
        """True if there is a transition and the measure is larger after it."""
        return self.before is not None and self.after is not None and self.after > self.before


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Steps from one transition to another; below 0: the other came first."""

    steps: float
    least: float
    most: float
    """The interval (CONFIDENCE)."""

    @property
    def settled(self) -> bool:
        """True if the interval says which of the two came first."""
        return self.least > 0 or self.most < 0


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """A node and its transition."""

    node: str
    transition: Transition


class CircuitAtStep(msgspec.Struct, frozen=True, kw_only=True):
    """How a checkpoint's circuit agrees with others; Jaccard, None where both are empty."""

    step: int
    size: int
    with_previous: float | None
    """None for the first checkpoint, too."""
    with_last: float | None


def fit_transition(
    curve: Curve, *, resamples: int = RESAMPLES, seed: int = 0, replicates: Callable[[], Replicates] = tuple
) -> Transition:
    """Return the transition of the mean over draws, with an interval from resampled examples and residuals.

    `replicates` returns the mean over draws at every measured step, for resampled examples
    (engine.sweeps.example_resamples); called only if there is a transition. Without them draws are resampled, and of a
    single draw residuals alone: then the interval does not cover other examples.

    Deterministic for the same arguments. Two curves with as many steps and draws are resampled alike, so that
    `transition_gap` compares the same draws, and the same examples if replicates were drawn alike.
    """
    measured = [place for place in range(len(curve.steps)) if any(row[place] is not None for row in curve.draws)]
    if len(measured) < LEAST_STEPS:
        return Transition(verdict="too_few_steps")
    steps = [curve.steps[place] for place in measured]
    rows = [[row[place] for place in measured] for row in curve.draws]
    logs, means = [math.log(step + 1) for step in steps], _means(rows)
    centre = math.fsum(means) / len(means)
    total = math.fsum((value - centre) ** 2 for value in means)
    if total <= 1e-18 * (1 + centre * centre):
        return Transition(verdict="none", better_by=0.0)
    grid = LogisticGrid(logs)
    shape = grid.fit(means)
    better_by = _aicc(_line_error(logs, means), total, len(means), 3) - _aicc(shape.unexplained, total, len(means), 5)
    if better_by < MARGIN:
        return Transition(verdict="none", better_by=better_by)
    rng = random.Random(seed)
    moves = _moves(rows, means, replicates(), resamples, rng)
    resampled = _resample(grid, shape, means, moves, rng)
    tail = (1 - CONFIDENCE) / 2
    earliest, latest = _quantile(resampled, tail), _quantile(resampled, 1 - tail)
    before, after = _resolved(steps, logs, shape)
    reach = TENTH_TO_NINE_TENTHS / 2 * shape.width
    return Transition(
        verdict="transition",
        midpoint=step_at(shape.middle),
        earliest=min(earliest, before),
        latest=max(latest, after),
        begins=step_at(shape.middle - reach),
        ends=step_at(shape.middle + reach),
        width=2 * reach,
        unfinished=shape.middle + reach > logs[-1],
        before=shape.before,
        after=shape.after,
        explained=1 - shape.unexplained / total,
        better_by=better_by,
        resampled=tuple(resampled),
    )


def transition_gap(first: Transition, second: Transition) -> Gap | None:
    """Return the steps from the first transition to the second; None unless both are transitions.

    Both must come from curves over the same checkpoints and draws. The interval is that of the resampled differences,
    widened by what the checkpoints leave open of either midpoint.
    """
    if first.midpoint is None or second.midpoint is None:
        return None
    differences = [later - sooner for sooner, later in zip(first.resampled, second.resampled, strict=True)]
    tail = (1 - CONFIDENCE) / 2
    open_before = max(0.0, min(first.resampled) - (first.earliest or 0.0)) + max(
        0.0, (second.latest or 0.0) - max(second.resampled)
    )
    open_after = max(0.0, (first.latest or 0.0) - max(first.resampled)) + max(
        0.0, min(second.resampled) - (second.earliest or 0.0)
    )
    return Gap(
        steps=second.midpoint - first.midpoint,
        least=_quantile(differences, tail) - open_after,
        most=_quantile(differences, 1 - tail) + open_before,
    )


def format_transition(found: Transition, other: Transition | None = None, *, other_is: str = "") -> str:
    """Return the transition as a phrase: came at step 1,800 (1,650 to 1,900), 200 steps before OTHER.

    `other` is a transition to compare with, `other_is` what happened there: "the model could do the task".
    """
    if found.verdict == "too_few_steps":
        return f"no fit: a transition needs {LEAST_STEPS} checkpoints"
    if found.midpoint is None or found.earliest is None or found.latest is None:
        return "no transition: a straight line fits as well"
    verb = "came" if found.rises else "went"
    said = f"{verb} at step {_whole(found.midpoint)} ({_whole(found.earliest)} to {_whole(found.latest)})"
    if found.unfinished:
        said += ", not over at the last checkpoint"
    gap = transition_gap(found, other) if other is not None else None
    if gap is None:
        return said
    if not gap.settled:
        sooner, later = _whole(max(0.0, gap.most)), _whole(max(0.0, -gap.least))
        return f"{said}, about when {other_is} (at most {sooner} steps before, {later} after)"
    steps = _whole(abs(gap.steps))
    order = "before" if gap.steps > 0 else "after"
    return f"{said}, {steps} step{'' if steps == '1' else 's'} {order} {other_is}"


def births(
    curves: Mapping[str, Curve],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    replicates: Callable[[str], Replicates] | None = None,
) -> tuple[Birth, ...]:
    """Return every node with its transition: rises by midpoint, then falls by midpoint, then nodes without one.

    `replicates`: of a node, as fit_transition takes them.
    """
    found = []
    for node, curve in curves.items():
        of_node: Callable[[], Replicates] = tuple if replicates is None else partial(replicates, node)
        transition = fit_transition(curve, resamples=resamples, seed=seed, replicates=of_node)
        found.append(Birth(node=node, transition=transition))
    return tuple(sorted(found, key=_birth_order))


def circuits_over_steps(circuits: Mapping[int, Collection[str]]) -> tuple[CircuitAtStep, ...]:
    """Return the agreement of every step's circuit with that of the step before and of the last step."""
    steps = sorted(circuits)
    return tuple(
        CircuitAtStep(
            step=step,
            size=len(set(circuits[step])),
            with_previous=_jaccard(circuits[steps[place - 1]], circuits[step]) if place else None,
            with_last=_jaccard(circuits[step], circuits[steps[-1]]),
        )
        for place, step in enumerate(steps)
    )


def _resample(
    grid: LogisticGrid, shape: LogisticFit, means: Sequence[float], moves: Sequence[Sequence[float]], rng: random.Random
) -> list[float]:
    """Return the midpoints of resampled curves: the fit, moved as other examples would, with resampled residuals.

    Residuals are scaled up for their small number, n/(n-4) steps.
    """
    n = len(means)
    fitted = [
        shape.before + (shape.after - shape.before) * share_at(log, shape.middle, shape.width) for log in grid.logs
    ]
    scale = math.sqrt(n / (n - 4))
    residuals = [scale * (value - fit) for value, fit in zip(means, fitted, strict=True)]
    found = []
    for moved in moves:
        noise = [residuals[rng.randrange(n)] for _ in range(n)]
        values = [sum(parts) for parts in zip(fitted, moved, noise, strict=True)]
        found.append(step_at(grid.fit(values, shape).middle))
    return found


def _moves(
    rows: Sequence[Sequence[float | None]],
    means: Sequence[float],
    replicates: Replicates,
    resamples: int,
    rng: random.Random,
) -> list[list[float]]:
    """Return by how much resampled means differ from the means: the replicates', or those of resampled draws.

    The latter are scaled up for their small number: three draws alone would give intervals a fifth too narrow.
    """
    if replicates:
        return [[value - mean for value, mean in zip(each, means, strict=True)] for each in replicates]
    n_draws = len(rows)
    apart = math.sqrt(n_draws / (n_draws - 1)) if n_draws > 1 else 0.0
    found = []
    for _ in range(resamples):
        chosen = [rows[rng.randrange(n_draws)] for _ in range(n_draws)]
        found.append([apart * (value - mean) for value, mean in zip(_means(chosen, means), means, strict=True)])
    return found


def _means(rows: Sequence[Sequence[float | None]], otherwise: Sequence[float] = ()) -> list[float]:
    """Return the mean over draws at each step; where none was measured, `otherwise`."""
    found = []
    for place, column in enumerate(zip(*rows, strict=True)):
        values = [value for value in column if value is not None]
        found.append(math.fsum(values) / len(values) if values else otherwise[place])
    return found


def _resolved(steps: Sequence[int], logs: Sequence[float], shape: LogisticFit) -> tuple[float, float]:
    """Return the steps between which the midpoint may lie, however sharp the rise is; inf and 0 if that is known.

    If no checkpoint lies within the rise, any midpoint between its neighbours gives the same curve.
    """
    shares = [share_at(log, shape.middle, shape.width) for log in logs]
    if any(0.1 < share < 0.9 for share in shares):
        return math.inf, 0.0
    below = [step for step, share in zip(steps, shares, strict=True) if share <= 0.1]
    above = [step for step, share in zip(steps, shares, strict=True) if share >= 0.9]
    return float(below[-1] if below else steps[0]), float(above[0] if above else steps[-1])


def _line_error(logs: Sequence[float], values: Sequence[float]) -> float:
    """Return the squared error of the straight line."""
    n = len(values)
    x, y = math.fsum(logs) / n, math.fsum(values) / n
    slope = math.fsum((a - x) * (b - y) for a, b in zip(logs, values, strict=True)) / math.fsum(
        (a - x) ** 2 for a in logs
    )
    return math.fsum((b - y - slope * (a - x)) ** 2 for a, b in zip(logs, values, strict=True))


def _aicc(unexplained: float, total: float, n: int, parameters: int) -> float:
    """Return Akaike's criterion for small samples; `parameters` counts the noise."""
    error = max(unexplained, _FLOOR * total) / n
    return n * math.log(error) + 2 * parameters + 2 * parameters * (parameters + 1) / (n - parameters - 1)


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile, interpolated between order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _jaccard(one: Collection[str], other: Collection[str]) -> float | None:
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else None


def _birth_order(birth: Birth) -> tuple[int, float, str]:
    found = birth.transition
    if found.midpoint is None:
        return 2, 0.0, birth.node
    return (0 if found.rises else 1), found.midpoint, birth.node


def _whole(number: float) -> str:
    return f"{round(number):,}"
