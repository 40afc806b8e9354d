"""Intervals of transitions cover other examples: planted pairs, each with a midpoint of its own."""

import msgspec
import pytest

from engine.examples import part_of_each
from engine.sweeps.births import CheckpointRun, birth_table
from engine.sweeps.example_resamples import PairDone, PartOfRun, Resamples, part_weights, share_done

from .planted_pairs import MIDDLE, STEPS, covers, planted_runs, transition_of, without_parts


def test_intervals_hold_the_planted_midpoint_as_often_as_they_say() -> None:
    """Of 40 draws, 95 % intervals must hold it in 38; those of residuals alone hold it in 31."""
    one = [planted_runs(seed, draws=1) for seed in range(40)]
    assert sum(covers(transition_of(runs), MIDDLE) for runs in one) >= 35
    assert sum(covers(transition_of(without_parts(runs)), MIDDLE) for runs in one) <= 34
    three = [planted_runs(seed, shared=0.03) for seed in range(100, 125)]
    assert sum(covers(transition_of(runs), MIDDLE) for runs in three) >= 22


def test_more_examples_make_the_interval_narrower() -> None:
    runs = planted_runs(3)
    of_three, of_one = transition_of(runs), transition_of([run for run in runs if run.draw == "0"])
    assert None not in (of_three.latest, of_three.earliest, of_one.latest, of_one.earliest)
    assert of_three.latest - of_three.earliest < of_one.latest - of_one.earliest  # type: ignore[operator]


def test_pairs_that_can_be_done_are_resampled_too() -> None:
    """A third of the pairs at 1,500, the others at 2,250: which of them were drawn moves the midpoint."""

    def run(step: int, pairs: tuple[PairDone, ...]) -> CheckpointRun:
        share = sum(pair.done for pair in pairs) / len(pairs)
        return CheckpointRun(step=step, draw="0", examples="x", accuracy=share, pairs=pairs)

    runs = [run(step, tuple(PairDone(step >= (2250 if place % 3 else 1500)) for place in range(48))) for step in STEPS]
    found = birth_table(runs, measure="total_variation", resamples=60).metrics[0].transition
    alone = [msgspec.structs.replace(run, pairs=()) for run in runs]
    bare = birth_table(alone, measure="total_variation", resamples=60).metrics[0].transition
    assert None not in (found.latest, found.earliest, bare.latest, bare.earliest)
    assert found.latest - found.earliest > bare.latest - bare.earliest  # type: ignore[operator]
    # Other pairs at another checkpoint: nothing can be resampled.
    other = [*runs[:-1], CheckpointRun(step=4000, draw="0", examples="y", accuracy=1.0, pairs=runs[-1].pairs)]
    assert birth_table(other, measure="total_variation", resamples=60).metrics[0].transition == bare


def test_resampled_means_vary_as_the_mean_of_so_many_parts_does() -> None:
    """Eight parts of values 0 and 1: the variance of their mean is 1/4 * 8/7 / 8."""
    values = [0.0, 1.0] * 4
    parts = [PartOfRun(n_examples=3, base=0.0, values={}) for _ in values]

    def mean(_: str, counts: tuple[int, ...]) -> list[float]:
        return [sum(weight * value for weight, value in zip(part_weights(parts, counts), values, strict=True))]

    drawn = Resamples({"0": 8}, 4000, seed=1).curves(["0"], mean, [0.5])
    means = [curve[0] for curve in drawn]
    centre = sum(means) / len(means)
    assert centre == pytest.approx(0.5, abs=0.01)
    assert sum((mean - centre) ** 2 for mean in means) / len(means) == pytest.approx(0.25 / 7, rel=0.08)


def test_parts_count_by_their_examples() -> None:
    parts = [PartOfRun(n_examples=2, base=0.0, values={}), PartOfRun(n_examples=1, base=0.0, values={})]
    assert part_weights(parts, (1, 1)) == pytest.approx([2 / 3, 1 / 3])
    assert part_weights(parts, (0, 2)) == [0.0, 1.0]
    pairs = [PairDone(True, True), PairDone(False, False), PairDone(False, True)]
    assert share_done(pairs, (0, 1, 0), (1, 1), (True, False)) == pytest.approx(1 / 3)
    assert share_done(pairs, (0, 1, 0), (2, 0), (True, False)) == 0.5
    assert share_done(pairs, (0, 1, 0), (2, 0), (False,)) is None


def test_parts_are_as_equal_as_can_be_and_follow_no_pattern() -> None:
    for n, sizes in ((0, []), (5, [1] * 5), (48, [3] * 16), (50, [4, 4] + [3] * 14)):
        parts = part_of_each(n, 16)
        assert [parts.count(part) for part in range(max(parts, default=-1) + 1)] == sizes
        assert part_of_each(n, 16) == parts
    # Examples that take turns with three patterns: no part has one of each by rule.
    turns = [sorted(place % 3 for place, part in enumerate(part_of_each(48, 16)) if part == each) for each in range(16)]
    assert turns.count([0, 1, 2]) < 10
