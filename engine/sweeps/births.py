"""When each node came during training, and when the model could do the task: from the runs of a sweep over checkpoints.

A node's curve is a share: a score of its codes, or its effect as a share of the answer. Effects in logits grow with the
logits, long after the task is learnt (docs/method.md 7).
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from operator import mul
from typing import Literal

import msgspec

from engine.examples import MOST_PARTS, part_of_each
from engine.sweeps.example_resamples import (
    Counts,
    PairDone,
    PartOfRun,
    Resamples,
    part_weights,
    share_done,
)
from engine.sweeps.transitions import (
    RESAMPLES,
    Curve,
    Gap,
    Transition,
    births,
    circuits_over_steps,
    fit_transition,
    transition_gap,
)

LEAST_BASE = 0.25
"""Share of the largest base over the checkpoints that a base counts as at least.

Where the model can hardly answer, the base is near 0 and any effect would be many times as large.
"""
BEHAVIOUR = "accuracy"
TRAINED, HELD_OUT, ANSWER = "trained", "held_out", "answer"
"""answer: the task's metric, such as the logit difference, as a share of its largest over the checkpoints."""


class CheckpointRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the run of one checkpoint and one draw found."""

    step: int
    draw: str
    examples: str
    """Content hash: births need the same examples at every checkpoint."""
    accuracy: float | None
    """Share of pairs that the model can do: graded ok on the positive, and not broken on the negative."""
    trained: float | None = None
    """The same over the pairs whose positive it was trained on, and over those held out; None where not known."""
    held_out: float | None = None
    values: Mapping[str, float | None] = {}
    """By node, the measure; an effect in the metric's unit, not as a share."""
    base: float | None = None
    """Of an effect: the metric without any replacement; None: the values are no effects."""
    circuit: tuple[str, ...] = ()
    pairs: tuple[PairDone, ...] = ()
    """Pair by pair what `accuracy` is the share of; empty: not known."""
    parts: tuple[PartOfRun, ...] = ()
    """`values` and `base` on parts of the examples; empty: not known."""


class MetricCurve(msgspec.Struct, frozen=True, kw_only=True):
    """How well the model does the task over the steps."""

    name: str
    """accuracy, trained, held_out or answer."""
    curve: Curve
    transition: Transition


class NodeBirth(msgspec.Struct, frozen=True, kw_only=True):
    """A node's curve, its transition, and how long before the behaviour's it came."""

    node: str
    curve: Curve
    transition: Transition
    gap: Gap | None
    """Steps from the node's transition to that of the behaviour."""


class StepCircuits(msgspec.Struct, frozen=True, kw_only=True):
    """How the circuits of a checkpoint agree with others: Jaccard, means over draws."""

    step: int
    size: float
    with_previous: float | None
    with_last: float | None
    between_draws: float | None
    """Of two draws at this checkpoint: no two checkpoints can agree better. None with one draw."""


class BirthTable(msgspec.Struct, frozen=True, kw_only=True):
    """The births of one model, task and setting over its checkpoints."""

    labels: tuple[tuple[str, str], ...]
    """The other axes of the sweep."""
    measure: str
    steps: tuple[int, ...]
    draws: int
    metrics: tuple[MetricCurve, ...]
    nodes: tuple[NodeBirth, ...]
    """Rises by midpoint, then falls, then nodes without a transition."""
    circuits: tuple[StepCircuits, ...]
    same_examples: bool
    """False: checkpoints have examples of their own, so that accuracies cannot be compared."""

    @property
    def behaviour(self) -> Transition:
        """Return when the model could do the task."""
        return self.metrics[0].transition

    @property
    def learnt(self) -> Gap | None:
        """Return the steps from the transition on trained examples to that on held-out ones."""
        found = {each.name: each.transition for each in self.metrics}
        if TRAINED not in found or HELD_OUT not in found:
            return None
        return transition_gap(found[TRAINED], found[HELD_OUT])


def birth_table(
    runs: Sequence[CheckpointRun],
    *,
    measure: str,
    labels: tuple[tuple[str, str], ...] = (),
    resamples: int = RESAMPLES,
    fitted: bool = True,
    seed: int = 0,
) -> BirthTable:
    """Return the births of these runs, one per checkpoint and draw. `fitted`: False gives the curves alone, at once.

    Intervals are of other examples where runs have pairs and parts, else of other draws (fit_transition).
    """
    table = _Runs(runs)
    resampled = _ResampledRuns(table, resamples, seed)

    unfitted = Transition(verdict="none")
    metrics = []
    for name in (BEHAVIOUR, TRAINED, HELD_OUT, ANSWER):
        found = table.curve(table.metric(name))
        if name == BEHAVIOUR or any(value is not None for row in found.draws for value in row):
            transition = unfitted
            if fitted:
                replicates = partial(resampled.metric, name, found)
                transition = fit_transition(found, resamples=resamples, seed=seed, replicates=replicates)
            metrics.append(MetricCurve(name=name, curve=found, transition=transition))
    names = dict.fromkeys(node for run in runs for node in run.values)
    curves = {node: table.curve(table.node(node)) for node in names}
    behaviour = metrics[0].transition
    if fitted:
        found_births = births(
            curves, resamples=resamples, seed=seed, replicates=lambda node: resampled.node(node, curves[node])
        )
        order = [(each.node, each.transition) for each in found_births]
    else:
        order = [(node, unfitted) for node in curves]
    return BirthTable(
        labels=labels,
        measure=measure,
        steps=table.steps,
        draws=len(table.draws),
        metrics=tuple(metrics),
        nodes=tuple(
            NodeBirth(node=node, curve=curves[node], transition=found, gap=transition_gap(found, behaviour))
            for node, found in order
        ),
        circuits=_circuits(table.by_place, table.steps, table.draws),
        same_examples=table.same_examples,
    )


class _Runs:
    """Runs by step and draw, with the values that curves are made of."""

    def __init__(self, runs: Sequence[CheckpointRun]) -> None:
        self.by_place = {(run.step, run.draw): run for run in runs}
        self.steps = tuple(sorted({run.step for run in runs}))
        self.draws = sorted({run.draw for run in runs}, key=_number_first)
        self.same_examples = all(len({run.examples for run in runs if run.draw == draw}) == 1 for draw in self.draws)
        units = share_units((run.draw, run.base) for run in self.by_place.values())
        self._units = dict(zip(self.by_place, units, strict=True))
        self._largest = {
            draw: max((run.base for run in runs if run.draw == draw and run.base is not None), default=0.0)
            for draw in self.draws
        }

    def curve(self, values: Mapping[tuple[int, str], float | None]) -> Curve:
        rows = tuple(tuple(values.get((step, draw)) for step in self.steps) for draw in self.draws)
        return Curve(steps=self.steps, draws=rows)

    def of_draw(self, draw: str) -> list[CheckpointRun | None]:
        """Return the draw's run at every step."""
        return [self.by_place.get((step, draw)) for step in self.steps]

    def metric(self, name: str) -> dict[tuple[int, str], float | None]:
        if name != ANSWER:
            return {place: getattr(run, name) for place, run in self.by_place.items()}
        return {
            place: run.base / self._largest[run.draw]
            for place, run in self.by_place.items()
            if run.base is not None and self._largest[run.draw] > 0
        }

    def node(self, node: str) -> dict[tuple[int, str], float | None]:
        """Return the node's values; effects as shares, positive in the direction of the node's largest.

        Sizes would add noise: where the effect is none, the size of its mean over few examples is not 0.
        """
        sign = self.direction(node)
        shares = {}
        for place, run in self.by_place.items():
            value, unit = run.values.get(node), self._units[place]
            if value is not None and run.base is not None:
                value = None if unit is None else sign * value / unit
            shares[place] = value
        return shares

    def direction(self, node: str) -> float:
        """Return 1 or -1, the sign of the node's effect at the step where its mean share is largest."""
        means = []
        for step in self.steps:
            here = [(self.by_place.get((step, draw)), self._units.get((step, draw))) for draw in self.draws]
            shares = [(run.values.get(node) or 0.0) / unit for run, unit in here if run is not None and unit]
            means.append(math.fsum(shares) / len(shares) if shares else 0.0)
        return -1.0 if max(means, key=abs, default=0.0) < 0 else 1.0


class _ResampledRuns:
    """The curves of other examples, drawn from those of the runs. Empty where the runs do not tell."""

    def __init__(self, runs: _Runs, n: int, seed: int) -> None:
        self._runs, self._n, self._seed = runs, n, seed
        self._known: dict[tuple[str, Counts], tuple[list[float], list[float | None], list[float | None]]] = {}
        """By draw and counts, the same for all nodes: weights of parts; bases, and what effects are shares of."""

    @cached_property
    def _resamples(self) -> Resamples | None:
        """None unless every draw has the same examples at every checkpoint, at least two parts of them."""
        if not self._runs.same_examples:
            return None
        parts = {}
        for draw in self._runs.draws:
            runs = [run for run in self._runs.of_draw(draw) if run is not None]
            if len({(tuple(part.n_examples for part in run.parts), len(run.pairs)) for run in runs}) > 1:
                return None
            parts[draw] = len(runs[0].parts) or min(MOST_PARTS, len(runs[0].pairs))
        return Resamples(parts, self._n, seed=self._seed) if min(parts.values()) > 1 else None

    def metric(self, name: str, curve: Curve) -> tuple[tuple[float, ...], ...]:
        if name == ANSWER:
            return self._curves(curve, self._answers, needs="parts")
        return self._curves(curve, partial(self._done, name), needs="pairs")

    def node(self, node: str, curve: Curve) -> tuple[tuple[float, ...], ...]:
        shares = partial(self._shares, self._runs.direction(node), self._effects(node))
        return self._curves(curve, shares, needs="parts")

    def _curves(
        self, curve: Curve, values: Callable[[str, Counts], Sequence[float | None]], *, needs: Literal["pairs", "parts"]
    ) -> tuple[tuple[float, ...], ...]:
        known = all(getattr(run, needs) for run in self._runs.by_place.values())
        if not known or self._resamples is None:
            return ()
        return self._resamples.curves(self._runs.draws, values, mean_curve(curve))

    def _done(self, name: str, draw: str, counts: Counts) -> list[float | None]:
        only = {BEHAVIOUR: (True, False, None), TRAINED: (True,), HELD_OUT: (False,)}[name]
        runs = self._runs.of_draw(draw)
        pairs = next(len(run.pairs) for run in runs if run is not None)
        # Effects may be of fewer examples, in fewer parts.
        parts = [part % len(counts) for part in part_of_each(pairs)]
        return [None if run is None else share_done(run.pairs, parts, counts, only) for run in runs]

    def _bases(self, draw: str, counts: Counts) -> tuple[list[float], list[float | None], list[float | None]]:
        known = self._known.get((draw, counts))
        if known is None:
            runs = self._runs.of_draw(draw)
            weights = part_weights(next(run.parts for run in runs if run is not None), counts)
            bases = [None if run is None else _weighted(weights, (each.base for each in run.parts)) for run in runs]
            units = share_units((draw, base) for base in bases)
            known = self._known[draw, counts] = weights, bases, units
        return known

    def _answers(self, draw: str, counts: Counts) -> list[float | None]:
        _, bases, _ = self._bases(draw, counts)
        largest = max((base for base in bases if base is not None), default=0.0)
        return [None if base is None or largest <= 0 else base / largest for base in bases]

    def _effects(self, node: str) -> dict[str, list[list[float] | None]]:
        """Return the node's effects by draw, step and part; None where a run has no such node."""
        return {
            draw: [
                None
                if run is None or any(node not in part.values for part in run.parts)
                else [part.values[node] for part in run.parts]
                for run in self._runs.of_draw(draw)
            ]
            for draw in self._runs.draws
        }

    def _shares(
        self, sign: float, effects: Mapping[str, Sequence[Sequence[float] | None]], draw: str, counts: Counts
    ) -> list[float | None]:
        weights, _, units = self._bases(draw, counts)
        return [
            None if values is None or unit is None else sign * _weighted(weights, values) / unit
            for values, unit in zip(effects[draw], units, strict=True)
        ]


def _weighted(weights: Iterable[float], values: Iterable[float]) -> float:
    return sum(map(mul, weights, values))


def mean_curve(curve: Curve) -> list[float | None]:
    """Return the mean over draws at each step; None where no draw was measured."""
    return [_mean(value for value in column if value is not None) for column in zip(*curve.draws, strict=True)]


def share_units(bases: Iterable[tuple[Hashable, float | None]]) -> list[float | None]:
    """Return what each effect is a share of: its base, but at least a quarter of the largest base with the same key.

    The key is what bases are compared over, such as a draw over its checkpoints. None where there is no base, or all
    are 0.
    """
    given = list(bases)
    largest: dict[Hashable, float] = {}
    for key, base in given:
        largest[key] = max(largest.get(key, 0.0), base or 0.0)
    units = (None if base is None else max(abs(base), LEAST_BASE * largest[key]) for key, base in given)
    return [unit or None for unit in units]


def _circuits(
    by_place: Mapping[tuple[int, str], CheckpointRun], steps: Sequence[int], draws: Sequence[str]
) -> tuple[StepCircuits, ...]:
    """Return the agreement of the circuits; a run without one counts as an empty circuit."""
    each = {
        draw: {
            found.step: found
            for found in circuits_over_steps(
                {step: by_place[step, draw].circuit for step in steps if (step, draw) in by_place}
            )
        }
        for draw in draws
    }
    rows = []
    for step in steps:
        here = [each[draw][step] for draw in draws if step in each[draw]]
        sets = [set(by_place[step, draw].circuit) for draw in draws if (step, draw) in by_place]
        pairs = [(one, two) for place, one in enumerate(sets) for two in sets[place + 1 :] if one | two]
        rows.append(
            StepCircuits(
                step=step,
                size=_mean(float(found.size) for found in here) or 0.0,
                with_previous=_mean(found.with_previous for found in here if found.with_previous is not None),
                with_last=_mean(found.with_last for found in here if found.with_last is not None),
                between_draws=_mean(len(one & two) / len(one | two) for one, two in pairs),
            )
        )
    return tuple(rows)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return math.fsum(found) / len(found) if found else None


def _number_first(text: str) -> tuple[int, str]:
    return (int(text) if text.isdecimal() and text.isascii() else 1 << 60), text
