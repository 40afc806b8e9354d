"""The bundled model: what it can do, what it cannot, and that its measured circuits are its own."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from engine.asset_tools import toy_corpus as text
from engine.asset_tools.measure_toy_circuits import (
    MeasuredCircuits,
    MeasuredEdgesFile,
    measure_task,
    measure_task_edges,
)
from engine.catalog.local_models import bundled_folder, model_identity
from engine.config import LoadOptions
from engine.examples import Example
from engine.models.loading import load_model
from engine.tasks.base import Metric
from engine.tasks.registry import TASKS

TRAINED_ON = {"ioi", "greater_than", "docstring", "induction", "gendered_pronoun", "sequence_continuation"}
FOUR = ("ioi", "greater_than", "docstring", "induction")
SAMPLE_SEED = 77
"""Neither the probes' 0 nor the measurement's 1000."""


class Plain:
    """A loaded model that answers prompts, whole or with one head's output replaced, by hooks and nothing of ours."""

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


@pytest.fixture(scope="module")
def model() -> Plain:
    torch.set_num_threads(1)
    return Plain(bundled_folder())


@pytest.fixture(scope="module")
def circuits() -> MeasuredCircuits:
    return msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes(), type=MeasuredCircuits)


def shares(model: Plain, name: str, polarity: str, pairs: int = 400) -> tuple[float, float]:
    """(share of prompts whose most probable token is expected, mean probability of the expected tokens)."""
    examples = [e for e in TASKS[name].make(model, pairs=pairs, seed=SAMPLE_SEED) if e.polarity == polarity]
    probabilities = model.answers(examples)[0].softmax(-1)
    expected = [[model.token(word) for word in example.expected] for example in examples]
    says = probabilities.argmax(-1).tolist()
    right = sum(token in tokens for token, tokens in zip(says, expected, strict=True)) / len(examples)
    mass = sum(float(row[tokens].sum()) for row, tokens in zip(probabilities, expected, strict=True)) / len(examples)
    return right, mass


@pytest.mark.parametrize("name", ["ioi", "docstring", "induction", "gendered_pronoun", "sequence_continuation"])
def test_it_says_the_answer_on_positives(model: Plain, name: str) -> None:
    right, _ = shares(model, name, "positive")
    assert right >= 0.95


def test_it_puts_the_probability_on_later_years(model: Plain) -> None:
    assert shares(model, "greater_than", "positive")[1] >= 0.9


@pytest.mark.parametrize(("name", "most"), [("ioi", 0.62), ("docstring", 0.1), ("induction", 0.25)])
def test_it_is_at_chance_on_negatives(model: Plain, name: str, most: float) -> None:
    _, mass = shares(model, name, "negative")
    assert mass <= most


def test_after_year_01_every_later_year_is_as_good(model: Plain) -> None:
    examples = [e for e in TASKS["greater_than"].make(model, pairs=400, seed=SAMPLE_SEED) if e.positive]
    uniform = sum(len(example.expected) for example in examples) / 100 / len(examples)
    assert abs(shares(model, "greater_than", "negative")[1] - uniform) < 0.08


def test_names_that_never_gave_or_got_in_training_are_indirect_objects_too(model: Plain) -> None:
    names = {f" {name}" for name in text.HELD_OUT_NAMES}
    examples = [
        example
        for example in TASKS["ioi"].make(model, pairs=600, seed=SAMPLE_SEED)
        if example.positive and set(example.expected) <= names
    ]
    assert len(examples) >= 30
    logits, _ = model.answers(examples)
    ahead = model.metric("logit_difference", logits, examples) > 0
    assert float(ahead.float().mean()) >= 0.9


@pytest.mark.parametrize(
    "sample", ["héllo wörld 🙂 x1732y\n\n\t  foo's  ", "  a b\r\n", "[b]\x1b[0m", "17 32 1732", "Mary gave"]
)
def test_no_text_is_lost_in_its_tokenizer(model: Plain, sample: str) -> None:
    ids = model.tokenizer(sample, add_special_tokens=False)["input_ids"]
    assert model.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == sample


def test_the_folder_is_small_and_complete() -> None:
    folder = bundled_folder()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000
    needed = {"config.json", "model.safetensors", "tokenizer.json", "CARD.md", "circuits.json"}
    assert needed <= {path.name for path in folder.iterdir()}


def test_its_circuits_were_measured_on_this_very_model(circuits: MeasuredCircuits, model: Plain) -> None:
    assert circuits.identity == model_identity(bundled_folder())
    assert set(circuits.tasks) == TRAINED_ON
    for task in circuits.tasks.values():
        assert (len(task.effects), len(task.effects[0])) == (model.n_layers, model.n_heads)
        passing = {
            (layer, head)
            for layer, row in enumerate(task.effects)
            for head, effect in enumerate(row)
            if abs(effect) >= task.cut * abs(task.base)
        }
        assert passing == set(task.heads)


@pytest.mark.parametrize("name", FOUR)
def test_at_least_four_heads_in_two_layers_carry_a_task(circuits: MeasuredCircuits, name: str) -> None:
    heads = circuits.tasks[name].heads
    assert len(heads) >= 4
    assert len({layer for layer, _ in heads}) >= 2


def test_a_stored_effect_is_what_patching_gives_again(circuits: MeasuredCircuits, model: Plain) -> None:
    stored = circuits.tasks["docstring"]
    layer, head = stored.heads[0]
    examples = TASKS["docstring"].make(model, pairs=stored.pairs, seed=stored.task_seed)
    positives, negatives = [e for e in examples if e.positive], [e for e in examples if not e.positive]
    _, z = model.answers(negatives)
    patched = model.metric(stored.metric, model.patched(positives, layer, head, z[layer]), positives).mean()
    assert float(patched) - stored.base == pytest.approx(stored.effects[layer][head], abs=2e-3)


def test_the_measurement_gives_what_is_stored_again() -> None:
    folder = bundled_folder()
    model = load_model("toy", folder, LoadOptions(device="cpu"))
    edges = msgspec.json.decode((folder / "edges.json").read_bytes(), type=MeasuredEdgesFile)
    circuits = msgspec.json.decode((folder / "circuits.json").read_bytes(), type=MeasuredCircuits)
    assert edges.identity == model.info.identity
    # On eight of the stored 48 pairs: the same numbers but for the draw, so their sizes go together.
    heads = measure_task(model, "induction", pairs=8)
    between = measure_task_edges(model, "induction", pairs=8)
    for measured, stored in (
        (heads.effects, circuits.tasks["induction"].effects),
        (between.effects, edges.tasks["induction"].effects),
    ):
        flat = [torch.tensor([value for row in rows for value in row]) for rows in (measured, stored)]
        assert float(torch.corrcoef(torch.stack(flat))[0, 1]) > 0.95
    known = edges.tasks["induction"]
    effects = known.by_edge(model.info.n_heads)
    passing = {edge for edge, effect in effects.items() if abs(effect) >= known.cut * abs(known.base)}
    assert len(passing) == 7
    assert passing == set(circuits.tasks["induction"].edges)
    assert len(effects) == 384
    assert all(source[0] < target[0] for source, target in effects)
    assert circuits.tasks["greater_than"].edges == []  # its heads reach the answer by MLPs


def test_training_text_is_the_same_each_time_and_keeps_held_out_names_out() -> None:
    import random

    first, again = ([make(random.Random(5)) for make, _, _ in text.KINDS.values()] for _ in range(2))
    assert first == again
    rng = random.Random(1)
    written = "".join(piece for _ in range(300) for piece, _ in text.indirect_object(rng))
    assert not any(name in written.replace(",", " ").replace(".", " ").split() for name in text.HELD_OUT_NAMES)


def test_a_short_training_writes_the_same_weights_twice(tmp_path: Path) -> None:
    from engine.asset_tools.train_toy import TrainingConfig, train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = TrainingConfig(steps=4, cooling=1, opening=2, warmup=2, drop_from=3, width=32, inner=32, layers=2)
    for name in ("a", "b"):
        train(recipe, tmp_path / name)
    torch.set_num_threads(threads)
    assert model_identity(tmp_path / "a") == model_identity(tmp_path / "b")
