"""Measures a model's circuits by exact patching: `python -m engine.toy.measure [MODEL_FOLDER] [--pairs 48]`."""

import argparse
import re
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from engine.catalog import bundled_folder, model_identity
from engine.errors import TaskError
from engine.examples import Example
from engine.tasks.base import Metric
from engine.tasks.registry import TASKS

CUT = 0.05
"""A head belongs to the circuit when patching it moves the metric by this share of its base."""
TASK_SEED = 1000
"""Not the 0 that probes use: the circuit is measured on other prompts than those it is later looked for on."""


class MeasuredTask(msgspec.Struct, frozen=True, kw_only=True):
    """One task's reference circuit in one model."""

    metric: Metric
    base: float
    """The metric's mean over the positives."""
    cut: float
    pairs: int
    task_seed: int
    effects: list[list[float]]
    """[layer][head]: patched minus base. Below 0: the head helps."""
    heads: list[tuple[int, int]]
    """Those whose effect is at least cut times base either way, the largest first."""


class MeasuredCircuits(msgspec.Struct, frozen=True, kw_only=True):
    """What circuits.json holds."""

    schema: str = "headcode.circuits/1"
    model: str
    identity: str
    measured: str
    versions: dict[str, str]
    tasks: dict[str, MeasuredTask]


class Measurer:
    """A loaded model that answers prompts, whole or with one head's output replaced."""

    def __init__(self, folder: Path) -> None:
        self.bridge: Any = TransformerBridge.boot_transformers(str(folder))
        self.bridge.eval()
        self.tokenizer = self.bridge.tokenizer
        self.n_layers: int = self.bridge.cfg.n_layers
        self.n_heads: int = self.bridge.cfg.n_heads

    def pieces(self, text: str) -> tuple[str, ...]:
        """The texts of the text's tokens: what a task asks of a tokenizer."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tuple(self.tokenizer.decode([token], clean_up_tokenization_spaces=False) for token in ids)

    def token(self, text: str) -> int:
        """The id of the one token with this text."""
        (token,) = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return int(token)

    def answers(self, examples: Sequence[Example]) -> tuple[Float[Tensor, "example token"], list[Tensor]]:
        """The logits after each prompt, and every layer's z [example, position, head, d_head]."""
        tokens, lengths = self._padded(examples)
        kept: dict[int, Tensor] = {}
        hooks = [(_name(layer), partial(_keep, kept=kept, layer=layer)) for layer in range(self.n_layers)]
        with torch.no_grad():
            logits = self.bridge.run_with_hooks(tokens, fwd_hooks=hooks)
        return _last(logits, lengths), [kept[layer] for layer in range(self.n_layers)]

    def patched(
        self, examples: Sequence[Example], layer: int, head: int, z: Float[Tensor, "example position head d_head"]
    ) -> Float[Tensor, "example token"]:
        """The logits after each prompt with one head's z replaced at all positions."""
        tokens, lengths = self._padded(examples)
        with torch.no_grad():
            logits = self.bridge.run_with_hooks(
                tokens, fwd_hooks=[(_name(layer), partial(_replace, head=head, other=z))]
            )
        return _last(logits, lengths)

    def metric(self, metric: Metric, logits: Float[Tensor, "example token"], examples: Sequence[Example]) -> Tensor:
        """The task's metric after each prompt."""
        values = logits.softmax(-1) if metric == "probability_mass" else logits
        results = []
        for row, example in zip(values, examples, strict=True):
            expected, foils = ([self.token(text) for text in texts] for texts in (example.expected, example.foils))
            if metric == "probability_mass":
                results.append(row[expected].sum() - row[foils].sum())
            else:
                results.append(row[expected].mean() - row[foils].mean())
        return torch.stack(results)

    def _padded(self, examples: Sequence[Example]) -> tuple[Int[Tensor, "example position"], list[int]]:
        # Padding stands on the right, where a causal model does not see it.
        rows = [self.tokenizer(example.prompt, add_special_tokens=False)["input_ids"] for example in examples]
        longest = max(map(len, rows))
        padded = [row + [row[-1]] * (longest - len(row)) for row in rows]
        return torch.tensor(padded), [len(row) for row in rows]


def measure_task(model: Measurer, name: str, *, pairs: int, seed: int = TASK_SEED) -> MeasuredTask:
    """The exact effect of every head on the task, one at a time.

    Raises TaskError where the model's tokenizer cannot express the task.
    """
    task = TASKS[name]
    examples = task.make(model, pairs=pairs, seed=seed)
    positives = [example for example in examples if example.positive]
    negatives = [example for example in examples if not example.positive]
    logits, _ = model.answers(positives)
    _, z = model.answers(negatives)
    base = float(model.metric(task.metric, logits, positives).mean())
    effects = [
        [
            float(model.metric(task.metric, model.patched(positives, layer, head, z[layer]), positives).mean()) - base
            for head in range(model.n_heads)
        ]
        for layer in range(model.n_layers)
    ]
    places = [(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    places.sort(key=lambda place: -abs(effects[place[0]][place[1]]))
    return MeasuredTask(
        metric=task.metric,
        base=round(base, 4),
        cut=CUT,
        pairs=pairs,
        task_seed=seed,
        effects=[[round(effect, 4) for effect in row] for row in effects],
        heads=[place for place in places if abs(effects[place[0]][place[1]]) >= CUT * abs(base)],
    )


def main() -> None:
    """Measure every task the model can be asked and write circuits.json beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=bundled_folder())
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=TASK_SEED)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = Measurer(given.folder)
    tasks = {}
    for name in TASKS:
        try:
            tasks[name] = measure_task(model, name, pairs=given.pairs, seed=given.seed)
        except TaskError as error:
            print(f"{name}: left out. {error.message}")
            continue
        found = tasks[name]
        print(f"{name}: base {found.base}, {len(found.heads)} heads pass: {found.heads}", flush=True)
    circuits = MeasuredCircuits(
        model=given.folder.resolve().name,
        identity=model_identity(given.folder),
        measured="exact head patching from the paired negative: the head's z at all positions, one head at a time; "
        "mean over pairs of the task's metric, patched minus base",
        versions={name: version(name) for name in ("torch", "transformers", "transformer-lens")},
        tasks=tasks,
    )
    lines = msgspec.json.format(msgspec.json.encode(circuits), indent=1).decode()
    (given.folder / "circuits.json").write_text(_rows_on_one_line(lines) + "\n", encoding="utf-8")


def _rows_on_one_line(text: str) -> str:
    """The JSON with each list of plain numbers on one line."""
    return re.sub(
        r"\[[-\d.,\s]+\]", lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text
    )


def _name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_z"


def _keep(z: Tensor, hook: object, *, kept: dict[int, Tensor], layer: int) -> Tensor:  # noqa: ARG001
    # The hook's own name is that of another hook point (attn.o.hook_in), so the layer is bound here.
    kept[layer] = z.clone()
    return z


def _replace(z: Tensor, hook: object, *, head: int, other: Tensor) -> Tensor:  # noqa: ARG001
    changed = z.clone()
    changed[:, :, head] = other[:, :, head]
    return changed


def _last(logits: Tensor, lengths: list[int]) -> Tensor:
    return logits[torch.arange(len(lengths)), torch.tensor(lengths) - 1].float()


if __name__ == "__main__":
    main()
