"""The sums that the bundled adder was trained on; every other sum is held out."""

import random
from functools import cache

from engine.catalog.checkpoint_folders import split_checkpoint
from engine.catalog.local_models import ADDER

TRAINED_SUMS = 700
"""Of 8,100. With 300, held-out accuracy creeps instead of jumping (docs/lab/2026-11-30-adder.md)."""


def shuffled_sums(seed: int) -> list[tuple[int, int]]:
    """Return all sums of two two-digit numbers in the order from which the first are trained on."""
    questions = [(a, b) for a in range(10, 100) for b in range(10, 100)]
    random.Random(f"sums/{seed}").shuffle(questions)
    return questions


@cache
def trained_prompts(model: str) -> frozenset[str]:
    """Return the prompts of the sums that the model was trained on; empty where that is not known.

    `model`: as a run names it, with or without a checkpoint.
    """
    if split_checkpoint(model)[0] != ADDER:
        return frozenset()
    return frozenset(f"{a}+{b}=" for a, b in shuffled_sums(0)[:TRAINED_SUMS])
