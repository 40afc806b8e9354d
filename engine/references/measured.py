"""Measured references: what every head of a model does to a ready-made task's answer, as it lies in a file."""

from pathlib import Path
from typing import Literal

import msgspec

FOLDER = Path(__file__).parent
SCHEMA = "headcode.reference/1"


class PromptSelection(msgspec.Struct, frozen=True, kw_only=True):
    """How the prompts were chosen."""

    task_seed: int
    """Not one that benches and probes use by themselves: effects are measured on other prompts than those ranked."""
    drawn: int
    """Pairs that were made and graded."""
    usable: int
    """Pairs of those whose positive the model knows and whose negative it does not."""
    used: int
    """Pairs the effects are measured on: the first usable ones, or the first of all where hardly any is usable."""


class MeasuredReference(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one model, by exact patching of every head."""

    schema: str = SCHEMA
    model: str
    identity: str
    """Of the weights and the tokenizer (engine.catalog.local_models.model_identity): it counts for no other model."""
    task: str
    metric: Literal["logit_difference", "probability_mass"]
    measured: str
    """What was done, in words."""
    prompts: PromptSelection
    grades: dict[str, int]
    """How many prompts got which grade, as "positive ok": 40."""
    base: float
    """The metric's mean over the positives."""
    effects: list[list[float]]
    """[layer][head]: patched minus base. Below 0: the head helps."""
    errors: list[list[float]]
    """[layer][head]: standard error of that mean over the pairs."""
    versions: dict[str, str]
    date: str
    seconds: float
    """Wall clock, one thread."""

    @property
    def able(self) -> bool:
        """Whether the model does this task: whether a third of the pairs is usable. Effects of a task it cannot do say
        what moves its wrong answers."""
        return 3 * self.prompts.usable >= self.prompts.drawn


def file_of(model: str, task: str) -> Path:
    """Where the reference of that model and task lies, if there is one."""
    return FOLDER / model / f"{task}.json"
