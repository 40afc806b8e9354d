"""When each node came during training, and when the model could do the task: from the runs of a sweep over checkpoints.

A node's curve is a share: a score of its codes, or its effect as a share of the answer. Effects in logits grow with the
logits, long after the task is learnt (docs/method.md 7).
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence

import msgspec

from engine.sweeps.transitions import (
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
    resamples: int | None = None,
    fitted: bool = True,
) -> BirthTable:
    """Return the births of these runs, one per checkpoint and draw. `fitted`: False gives the curves alone, at once."""
    steps = tuple(sorted({run.step for run in runs}))
    draws = sorted({run.draw for run in runs}, key=_number_first)
    by_place = {(run.step, run.draw): run for run in runs}
    units = share_units((run.draw, run.base) for run in by_place.values())
    shares = {place: _shares(run, unit) for (place, run), unit in zip(by_place.items(), units, strict=True)}
    more = {} if resamples is None else {"resamples": resamples}

    def curve(values: Mapping[tuple[int, str], float | None]) -> Curve:
        return Curve(steps=steps, draws=tuple(tuple(values.get((step, draw)) for step in steps) for draw in draws))

    def fit(found: Curve) -> Transition:
        return fit_transition(found, **more) if fitted else Transition(verdict="none")

    metrics = []
    told: dict[str, dict[tuple[int, str], float | None]] = {
        name: {place: getattr(run, name) for place, run in by_place.items()} for name in (BEHAVIOUR, TRAINED, HELD_OUT)
    }
    told[ANSWER] = {
        place: run.base / largest
        for place, run in by_place.items()
        if run.base is not None and (largest := _largest_base(runs, run.draw)) > 0
    }
    for name, values in told.items():
        found = curve(values)
        if name == BEHAVIOUR or any(value is not None for row in found.draws for value in row):
            metrics.append(MetricCurve(name=name, curve=found, transition=fit(found)))
    names = dict.fromkeys(node for run in runs for node in run.values)
    curves = {node: curve({place: shares[place].get(node) for place in by_place}) for node in names}
    behaviour = metrics[0].transition
    if fitted:
        order = [(each.node, each.transition) for each in births(curves, **more)]
    else:
        order = [(node, Transition(verdict="none")) for node in curves]
    return BirthTable(
        labels=labels,
        measure=measure,
        steps=steps,
        draws=len(draws),
        metrics=tuple(metrics),
        nodes=tuple(
            NodeBirth(node=node, curve=curves[node], transition=found, gap=transition_gap(found, behaviour))
            for node, found in order
        ),
        circuits=_circuits(by_place, steps, draws),
        same_examples=all(len({run.examples for run in runs if run.draw == draw}) == 1 for draw in draws),
    )


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


def _largest_base(runs: Sequence[CheckpointRun], draw: str) -> float:
    return max((run.base for run in runs if run.draw == draw and run.base is not None), default=0.0)


def _shares(run: CheckpointRun, unit: float | None) -> Mapping[str, float | None]:
    """Return the values as shares; those that are no effects as they are."""
    if run.base is None:
        return run.values
    if unit is None:
        return dict.fromkeys(run.values)
    return {node: None if value is None else abs(value) / unit for node, value in run.values.items()}


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
