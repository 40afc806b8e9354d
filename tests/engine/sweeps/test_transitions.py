"""Transitions: planted curves with known midpoints, and curves that have none."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.sweeps.transitions import (
    Curve,
    Transition,
    births,
    circuits_over_steps,
    fit_transition,
    format_transition,
    transition_gap,
)

STEPS = (0, 100, 200, 400, 600, 800, 1000, 1300, 1700, 2200, 3000, 4000)


def logistic(middle: float, width: float, before: float = 0.0, after: float = 1.0) -> Callable[[int], float]:
    def value(step: int) -> float:
        z = (math.log(step + 1) - math.log(middle + 1)) / width
        return before + (after - before) / (1 + math.exp(-z))

    return value


def curve(
    value: Callable[[int], float], *, noise: float = 0.0, shared: float = 0.0, draws: int = 3, seed: int = 0,
    steps: tuple[int, ...] = STEPS,
) -> Curve:  # fmt: skip
    """`noise` differs between draws, `shared` is the same for all draws of a step."""
    rng = random.Random(seed)
    lifts = [rng.gauss(0, shared) for _ in steps]
    rows = [
        [value(step) + lift + rng.gauss(0, noise) for step, lift in zip(steps, lifts, strict=True)]
        for _ in range(draws)
    ]
    return Curve(steps=steps, draws=tuple(tuple(row) for row in rows))


@settings(max_examples=100, deadline=None)
@given(
    middle=st.floats(150, 3200), width=st.floats(0.2, 0.5), before=st.floats(-3, 3), change=st.floats(0.5, 20),
    falls=st.booleans(),
)  # fmt: skip
def test_a_planted_transition_is_found_without_noise(
    middle: float, width: float, before: float, change: float, falls: bool
) -> None:
    after = before - change if falls else before + change
    found = fit_transition(curve(logistic(middle, width, before, after)), resamples=5)
    assert found.verdict == "transition"
    assert found.midpoint == pytest.approx(middle, rel=0.005)
    assert found.rises is not falls
    assert found.width == pytest.approx(2 * math.log(9) * width, rel=0.02)
    assert found.explained is not None
    assert found.explained > 0.9999


def test_the_interval_covers_the_planted_midpoint_as_often_as_it_says() -> None:
    covered = found = 0
    for seed in range(40):
        fit = fit_transition(curve(logistic(900, 0.15), noise=0.1, shared=0.03, seed=seed), resamples=60)
        if fit.midpoint is not None and fit.earliest is not None and fit.latest is not None:
            found += 1
            covered += fit.earliest <= 900 <= fit.latest
            assert fit.earliest <= fit.midpoint <= fit.latest
    assert found == 40
    assert covered >= 35


@pytest.mark.parametrize(
    ("value", "noise"),
    [
        (lambda _: 0.7, 0.0),
        (lambda _: 0.7, 0.1),
        (lambda step: 0.1 * math.log(step + 1), 0.0),
        (lambda step: 0.1 * math.log(step + 1), 0.05),
        (lambda step: 5 - math.log(step + 1), 0.2),
    ],
    ids=["constant", "flat and noisy", "straight", "straight and noisy", "falling and noisy"],
)
def test_flat_and_straight_curves_have_no_transition(value: Callable[[int], float], noise: float) -> None:
    verdicts = [
        fit_transition(curve(value, noise=noise, shared=noise / 3, seed=seed), resamples=1) for seed in range(25)
    ]
    assert sum(found.verdict == "transition" for found in verdicts) <= 1
    none = next(found for found in verdicts if found.verdict == "none")
    assert (none.midpoint, none.earliest, none.resampled, none.rises) == (None, None, (), False)
    assert format_transition(none) == "no transition: a straight line fits as well"


def test_many_checkpoints_of_noise_have_no_transition() -> None:
    many = tuple(range(0, 4000, 100))
    fits = [fit_transition(curve(lambda _: 0.5, noise=0.1, seed=seed, steps=many), resamples=1) for seed in range(40)]
    assert sum(found.verdict == "transition" for found in fits) <= 3


def test_a_jump_between_two_checkpoints_may_be_anywhere_between_them() -> None:
    found = fit_transition(curve(lambda step: float(step > 1100), noise=0.01))
    assert found.earliest is not None
    assert found.latest is not None
    assert found.earliest <= 1000
    assert found.latest >= 1300
    assert found.earliest >= 800
    assert found.latest <= 1700


def test_a_change_that_goes_on_at_the_last_checkpoint_is_not_over() -> None:
    going_on, over = fit_transition(curve(logistic(3500, 0.25))), fit_transition(curve(logistic(900, 0.25)))
    assert going_on.unfinished
    assert format_transition(going_on).endswith("), not over at the last checkpoint")
    assert not over.unfinished


def test_few_checkpoints_are_not_fitted() -> None:
    found = fit_transition(curve(logistic(500, 0.3), steps=STEPS[:6]))
    assert found == Transition(verdict="too_few_steps")
    assert format_transition(found) == "no fit: a transition needs 7 checkpoints"
    # Six of twelve were measured.
    half = Curve(steps=STEPS, draws=(tuple(1.0 if place % 2 else None for place in range(12)),))
    assert fit_transition(half).verdict == "too_few_steps"


def test_values_that_are_missing_are_left_out() -> None:
    whole = curve(logistic(900, 0.2), noise=0.02)
    rows = [list(row) for row in whole.draws]
    rows[0][3] = rows[1][3] = rows[2][3] = rows[1][7] = None
    holes = Curve(steps=STEPS, draws=tuple(tuple(row) for row in rows))
    found, complete = fit_transition(holes), fit_transition(whole)
    assert found.midpoint == pytest.approx(complete.midpoint, rel=0.05)


def test_the_same_curve_gives_the_same_interval() -> None:
    noisy = curve(logistic(900, 0.2), noise=0.1)
    assert fit_transition(noisy, resamples=20) == fit_transition(noisy, resamples=20)
    assert fit_transition(noisy, resamples=20) != fit_transition(noisy, resamples=20, seed=1)


def test_one_draw_is_resampled_by_its_residuals() -> None:
    found = fit_transition(curve(logistic(900, 0.3), noise=0.05, draws=1))
    assert found.earliest is not None
    assert found.latest is not None
    assert 0 < found.latest - found.earliest < 1000


def test_the_gap_says_which_came_first() -> None:
    head = fit_transition(curve(logistic(700, 0.2), noise=0.03, seed=1))
    task = fit_transition(curve(logistic(1500, 0.2), noise=0.03, seed=2))
    gap, back = transition_gap(head, task), transition_gap(task, head)
    assert gap is not None
    assert back is not None
    assert gap.least < 800 < gap.most
    assert gap.settled
    assert back.steps == -gap.steps
    assert back.least == pytest.approx(-gap.most)
    assert transition_gap(head, Transition(verdict="none")) is None


def test_draws_that_move_together_do_not_blur_the_gap() -> None:
    shift = (0.7, 1.0, 1.4)
    rows = {
        middle: Curve(steps=STEPS, draws=tuple(tuple(map(logistic(middle * by, 0.25), STEPS)) for by in shift))
        for middle in (700, 1300)
    }
    first, second = fit_transition(rows[700]), fit_transition(rows[1300])
    gap = transition_gap(first, second)
    assert gap is not None
    assert first.latest is not None
    assert second.earliest is not None
    assert gap.settled, "each draw has a gap of about 600 steps"
    assert gap.least > 200


def planted(midpoint: float, earliest: float, latest: float, *, before: float = 0.0, after: float = 1.0) -> Transition:
    spread = tuple(earliest + (latest - earliest) * place / 40 for place in range(41))
    return Transition(
        verdict="transition", midpoint=midpoint, earliest=earliest, latest=latest, before=before, after=after,
        resampled=spread,
    )  # fmt: skip


def test_a_transition_is_said_in_a_sentence() -> None:
    head, task = planted(1800.4, 1650, 1900), planted(2000.4, 1990, 2020)
    assert format_transition(head) == "came at step 1,800 (1,650 to 1,900)"
    said = format_transition(head, task, other_is="the model could do the task")
    assert said == "came at step 1,800 (1,650 to 1,900), 200 steps before the model could do the task"
    assert format_transition(task, head, other_is="it").endswith("(1,990 to 2,020), 200 steps after it")
    close = planted(1850, 1700, 2000)
    assert format_transition(head, close, other_is="that").startswith("came at step 1,800 (1,650 to 1,900), 50 steps")
    wide = planted(1810, 1600, 1950)
    assert format_transition(head, wide, other_is="the task did") == (
        "came at step 1,800 (1,650 to 1,900), about when the task did (at most 48 steps before, 48 after)"
    )
    gone = planted(500, 450, 560, before=1.0, after=0.0)
    assert format_transition(gone) == "went at step 500 (450 to 560)"
    assert format_transition(gone, Transition(verdict="none"), other_is="it") == "went at step 500 (450 to 560)"


def test_births_are_one_list_in_order() -> None:
    found = births(
        {
            "1.3": curve(logistic(1500, 0.2)),
            "0.2": curve(lambda _: 0.3, noise=0.05),
            "0.1": curve(logistic(300, 0.2)),
            "m0": curve(logistic(200, 0.2, 1.0, 0.0)),
        },
        resamples=5,
    )
    assert [birth.node for birth in found] == ["0.1", "1.3", "m0", "0.2"]


def test_circuits_are_compared_with_the_one_before_and_the_last() -> None:
    found = circuits_over_steps({400: {"0.1", "1.2"}, 0: set(), 200: {"0.1"}, 800: {"1.2", "0.1", "1.3", "0.0"}})
    assert [(each.step, each.size) for each in found] == [(0, 0), (200, 1), (400, 2), (800, 4)]
    assert [each.with_previous for each in found] == [None, 0.0, 0.5, 0.5]
    assert [each.with_last for each in found] == [0.0, 0.25, 0.5, 1.0]
    assert circuits_over_steps({0: set(), 1: set()})[1].with_previous is None


@pytest.mark.parametrize(
    ("steps", "draws", "says"),
    [
        ((0, 5, 5), ((1.0, 1.0, 1.0),), "do not rise"),
        ((-1, 5), ((1.0, 1.0),), "below 0"),
        ((0, 5), ((1.0,),), "draws of"),
        ((0, 5), (), "draws of"),
    ],
)
def test_curves_that_cannot_be_are_refused(
    steps: tuple[int, ...], draws: tuple[tuple[float, ...], ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Curve(steps=steps, draws=draws)
