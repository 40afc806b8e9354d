"""Measured references: the effect of every head of a model on a ready-made task, as stored in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from engine.nodes import NodeId, parse_node

FOLDER = Path(__file__).parent
SCHEMA = "headcode.reference/1"


class PromptSelection(msgspec.Struct, frozen=True, kw_only=True):
    """How the prompts were chosen."""

    task_seed: int
    """Not a seed that benchmarks and probes use by default: effects are measured on other prompts than those ranked."""
    drawn: int
    """Pairs that were made and graded."""
    usable: int
    """Those whose positive the model knows and whose negative it does not."""
    used: int
    """Pairs the effects are measured on: the first usable ones, or the first of all if hardly any is usable."""


class MeasuredReference(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one model, by exact patching of every head."""

    schema: str = SCHEMA
    model: str
    identity: str
    """Of the weights and the tokenizer (engine.catalog.local_models.model_identity): it applies to no other model."""
    task: str
    metric: Literal["logit_difference", "probability_mass"]
    measured: str
    """A description of the measurement."""
    prompts: PromptSelection
    grades: dict[str, int]
    """How many prompts got which grade, as "positive ok": 40."""
    base: float
    """The metric's mean over the positives."""
    effects: list[list[float]]
    """[layer][head]: patched minus base. Below 0: the head helps."""
    errors: list[list[float]]
    """[layer][head]: standard error of that mean over the pairs."""
    others: dict[str, float] = {}
    """Effects of MLPs and the embedding by node: m8, emb. Empty where only heads were measured."""
    versions: dict[str, str]
    date: str
    seconds: float
    """Wall-clock time, one thread."""

    @property
    def able(self) -> bool:
        """True if the model can do this task: a third of the pairs is usable.

        Effects of a task it cannot do show what moves its wrong answers.
        """
        return 3 * self.prompts.usable >= self.prompts.drawn


def effects_by_node(effects: Sequence[Sequence[float]], others: Mapping[str, float]) -> dict[NodeId, float]:
    """Return the effects of heads ([layer][head]) and of other nodes (by name) by node; of no other names."""
    found = {NodeId(layer, head): effect for layer, row in enumerate(effects) for head, effect in enumerate(row)}
    return found | {node: effect for name, effect in others.items() if (node := parse_node(name)) is not None}


def over_the_cut(effects: Mapping[NodeId, float], cut: float, base: float) -> list[NodeId]:
    """Return the nodes in the circuit: with an effect of at least that share of the base; the largest first."""
    found = [node for node in effects if node.in_circuits and abs(effects[node]) >= cut * abs(base)]
    return sorted(found, key=lambda node: -abs(effects[node]))


def file_of(model: str, task: str) -> Path:
    """Return the path of the reference of that model and task, whether or not it exists."""
    return FOLDER / model / f"{task}.json"
