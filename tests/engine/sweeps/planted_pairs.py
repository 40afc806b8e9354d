"""Runs over checkpoints of planted pairs, each of which a model learns at a step of its own.

`python tests/engine/sweeps/planted_pairs.py 200` prints how often intervals cover the planted midpoint.
"""

import itertools
import math
import random
import sys
from collections.abc import Sequence

from engine.sweeps.births import CheckpointRun, birth_table
from engine.sweeps.example_resamples import PartOfRun
from engine.sweeps.transitions import Transition

STEPS = (0, 250, 500, 1000, 1500, 1750, 2000, 2250, 2500, 2750, 3000, 3500, 4000)
"""As the adder's."""
PAIRS = 48
MIDDLE = 2300
"""Of the pairs' midpoints, which spread alike to both sides in log steps: of their mean's curve, too."""


def planted_runs(
    seed: int, *, draws: int = 3, spread: float = 0.15, height: float = 0.5, noise: float = 0.3, shared: float = 0.0
) -> list[CheckpointRun]:
    """Return the runs of so many draws of 48 pairs.

    `spread`: of a pair's midpoint, in log steps; `height`: of its effect, of 1; `noise`: of each of its values;
    `shared`: what a checkpoint adds to all pairs. All are standard deviations.
    """
    rng = random.Random(seed)
    logs = [math.log(step + 1) for step in STEPS]
    lifts = [rng.gauss(0, shared) for _ in STEPS]
    runs = []
    for draw in range(draws):
        pairs = []
        for _ in range(PAIRS):
            middle, top, level = rng.gauss(math.log(MIDDLE + 1), spread), rng.gauss(1, height), rng.gauss(0, noise)
            pairs.append(
                [
                    level + max(0.0, top) / (1 + math.exp(-(log - middle) / 0.1)) + rng.gauss(0, noise) + lift
                    for log, lift in zip(logs, lifts, strict=True)
                ]
            )
        for place, step in enumerate(STEPS):
            here = [pair[place] for pair in pairs]
            runs.append(
                CheckpointRun(
                    step=step,
                    draw=str(draw),
                    examples=f"x{draw}",
                    accuracy=None,
                    values={"0.1": sum(here) / PAIRS},
                    base=1.0,
                    parts=tuple(PartOfRun(n_examples=1, base=1.0, values={"0.1": value}) for value in here),
                )
            )
    return runs


def transition_of(runs: Sequence[CheckpointRun], *, resamples: int = 60) -> Transition:
    return birth_table(runs, measure="exact_effect", resamples=resamples).nodes[0].transition


def without_parts(runs: Sequence[CheckpointRun]) -> list[CheckpointRun]:
    return [
        CheckpointRun(**{name: getattr(run, name) for name in run.__struct_fields__ if name != "parts"}) for run in runs
    ]


def covers(found: Transition, step: float) -> bool:
    return found.earliest is not None and found.latest is not None and found.earliest <= step <= found.latest


def main(n: int) -> None:
    for how in ({}, {"shared": 0.05}, {"spread": 0.3, "height": 0.7, "noise": 0.5}, {"spread": 0.0, "noise": 0.5}):
        counts = dict.fromkeys(("one draw", "without parts", "three draws", "two of three agree"), 0)
        for seed in range(n):
            runs = planted_runs(seed, **how)
            each = [transition_of([run for run in runs if run.draw == draw], resamples=100) for draw in "012"]
            counts["one draw"] += covers(each[0], MIDDLE)
            bare = without_parts([run for run in runs if run.draw == "0"])
            counts["without parts"] += covers(transition_of(bare, resamples=100), MIDDLE)
            counts["three draws"] += covers(transition_of(runs, resamples=100), MIDDLE)
            agree = sum(
                one.midpoint is not None and other.midpoint is not None
                and covers(one, other.midpoint) and covers(other, one.midpoint)
                for one, other in itertools.combinations(each, 2)
            )  # fmt: skip
            counts["two of three agree"] += agree >= 2
        print(how, {name: round(count / n, 3) for name, count in counts.items()}, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
