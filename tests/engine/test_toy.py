"""The bundled model: what it can do, what it cannot, and that its measured circuits are its own."""

from pathlib import Path

import msgspec
import pytest
import torch

from engine.catalog import bundled_folder, model_identity
from engine.tasks.registry import TASKS
from engine.toy import text
from engine.toy.measure import MeasuredCircuits, Measurer

FOUR = ("ioi", "greater_than", "docstring", "induction")
SAMPLE_SEED = 77
"""Neither the probes' 0 nor the measurement's 1000."""


@pytest.fixture(scope="module")
def model() -> Measurer:
    torch.set_num_threads(1)
    return Measurer(bundled_folder())


@pytest.fixture(scope="module")
def circuits() -> MeasuredCircuits:
    return msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes(), type=MeasuredCircuits)


def shares(model: Measurer, name: str, polarity: str, pairs: int = 400) -> tuple[float, float]:
    """(share of prompts whose most probable token is expected, mean probability of the expected tokens)."""
    examples = [e for e in TASKS[name].make(model, pairs=pairs, seed=SAMPLE_SEED) if e.polarity == polarity]
    probabilities = model.answers(examples)[0].softmax(-1)
    expected = [[model.token(word) for word in example.expected] for example in examples]
    says = probabilities.argmax(-1).tolist()
    right = sum(token in tokens for token, tokens in zip(says, expected, strict=True)) / len(examples)
    mass = sum(float(row[tokens].sum()) for row, tokens in zip(probabilities, expected, strict=True)) / len(examples)
    return right, mass


@pytest.mark.parametrize("name", ["ioi", "docstring", "induction", "gendered_pronoun", "sequence_continuation"])
def test_it_says_the_answer_on_positives(model: Measurer, name: str) -> None:
    right, _ = shares(model, name, "positive")
    assert right >= 0.95


def test_it_puts_the_probability_on_later_years(model: Measurer) -> None:
    assert shares(model, "greater_than", "positive")[1] >= 0.9


@pytest.mark.parametrize(("name", "most"), [("ioi", 0.62), ("docstring", 0.1), ("induction", 0.25)])
def test_it_is_at_chance_on_negatives(model: Measurer, name: str, most: float) -> None:
    _, mass = shares(model, name, "negative")
    assert mass <= most


def test_after_year_01_every_later_year_is_as_good(model: Measurer) -> None:
    examples = [e for e in TASKS["greater_than"].make(model, pairs=400, seed=SAMPLE_SEED) if e.positive]
    uniform = sum(len(example.expected) for example in examples) / 100 / len(examples)
    assert abs(shares(model, "greater_than", "negative")[1] - uniform) < 0.08


def test_names_that_never_gave_or_got_in_training_are_indirect_objects_too(model: Measurer) -> None:
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
def test_no_text_is_lost_in_its_tokenizer(model: Measurer, sample: str) -> None:
    ids = model.tokenizer(sample, add_special_tokens=False)["input_ids"]
    assert model.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == sample


def test_the_folder_is_small_and_complete() -> None:
    folder = bundled_folder()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000
    needed = {"config.json", "model.safetensors", "tokenizer.json", "CARD.md", "circuits.json"}
    assert needed <= {path.name for path in folder.iterdir()}


def test_its_circuits_were_measured_on_this_very_model(circuits: MeasuredCircuits, model: Measurer) -> None:
    assert circuits.identity == model_identity(bundled_folder())
    assert set(circuits.tasks) == set(TASKS)
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


def test_a_stored_effect_is_what_patching_gives_again(circuits: MeasuredCircuits, model: Measurer) -> None:
    stored = circuits.tasks["docstring"]
    layer, head = stored.heads[0]
    examples = TASKS["docstring"].make(model, pairs=stored.pairs, seed=stored.task_seed)
    positives, negatives = [e for e in examples if e.positive], [e for e in examples if not e.positive]
    _, z = model.answers(negatives)
    patched = model.metric(stored.metric, model.patched(positives, layer, head, z[layer]), positives).mean()
    assert float(patched) - stored.base == pytest.approx(stored.effects[layer][head], abs=2e-3)


def test_training_text_is_the_same_each_time_and_keeps_held_out_names_out() -> None:
    import random

    first, again = ([make(random.Random(5)) for make, _, _ in text.KINDS.values()] for _ in range(2))
    assert first == again
    rng = random.Random(1)
    written = "".join(piece for _ in range(300) for piece, _ in text.indirect_object(rng))
    assert not any(name in written.replace(",", " ").replace(".", " ").split() for name in text.HELD_OUT_NAMES)


def test_a_short_training_writes_the_same_weights_twice(tmp_path: Path) -> None:
    from engine.toy.train import Recipe, train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = Recipe(steps=4, cooling=1, opening=2, warmup=2, drop_from=3, width=32, inner=32, layers=2)
    for name in ("a", "b"):
        train(recipe, tmp_path / name)
    torch.set_num_threads(threads)
    assert model_identity(tmp_path / "a") == model_identity(tmp_path / "b")
