"""The adder: what its checkpoints can do, that they load exactly, and its measured circuit."""

from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from engine.asset_tools.measure_toy_circuits import MeasuredCircuits, can_do, measure_task
from engine.asset_tools.train_adder import AdderTraining, Sums, split
from engine.catalog.checkpoints import checkpoints
from engine.catalog.local_models import bundled_folder, model_identity
from engine.config import LoadOptions
from engine.models.loading import Model, load_model
from engine.planted import tokenizer
from engine.references.ground_truth import known_truths

FOLDER = bundled_folder("adder")
LAST = FOLDER / f"step{checkpoints('adder')[-1].step}"


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    return load_model("adder", tmp_path_factory.mktemp("models"), LoadOptions(device="cpu"))


@pytest.fixture(scope="module")
def halves() -> tuple[Sums, Sums]:
    """Sums trained on and held out, as the training script draws them."""
    training = AdderTraining()
    return split(training, tokenizer.build(["+", "="], context=training.context))


def right(step: int, sums: Sums) -> float:
    """Share of sums whose every answer token is the most probable one, by plain transformers."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(FOLDER / f"step{step}"), dtype=torch.float32).eval()
    with torch.no_grad():
        says = model(sums.inputs[:2000]).logits[:, -sums.answers.shape[1] :].argmax(-1)
    return float(((says == sums.answers[:2000]) | (sums.weights[:2000] == 0)).all(dim=1).float().mean())


def test_the_training_settings_are_those_of_the_shipped_checkpoints() -> None:
    assert tuple(each.step for each in checkpoints("adder")) == AdderTraining().checkpoints


def test_held_out_sums_come_long_after_those_trained_on(halves: tuple[Sums, Sums]) -> None:
    known, held_out = halves
    assert not set(known.questions) & set(held_out.questions)
    assert len(known.questions) + len(held_out.questions) == 8100
    assert right(500, known) < 0.6
    assert right(1000, known) > 0.9
    assert right(1000, held_out) < 0.1
    assert right(2250, held_out) < 0.6
    assert right(3000, held_out) > 0.98
    assert right(4000, held_out) > 0.99


def test_it_is_small_and_complete() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3_000_000
    for each in checkpoints("adder"):
        names = {path.name for path in (FOLDER / f"step{each.step}").iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert (FOLDER / "CARD.md").is_file()


def test_loading_in_float32_changes_no_weight(last: Model) -> None:
    stored = load_file(LAST / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    loaded = last.bridge.original_model.state_dict()
    for name, tensor in stored.items():
        # TransformerBridge wraps modules: its names have parts more, and some weights have two names.
        found = [value for key, value in loaded.items() if key.replace("._original_component", "") == name]
        assert found, name
        assert all(value.dtype == torch.float32 and torch.equal(value, tensor.float()) for value in found)


def test_its_circuit_is_that_of_these_weights_and_is_measured_again(last: Model) -> None:
    circuits = msgspec.json.decode((LAST / "circuits.json").read_bytes(), type=MeasuredCircuits)
    assert circuits.model == "adder"
    assert circuits.identity == model_identity(LAST) == last.info.identity
    assert set(circuits.tasks) == {"addition"}
    stored = circuits.tasks["addition"]
    assert len({layer for layer, _ in stored.heads}) == 2
    again = measure_task(last, "addition", pairs=stored.pairs, seed=stored.task_seed)
    for row, other in zip(again.effects, stored.effects, strict=True):
        assert row == pytest.approx(other, abs=2e-3)
    assert again.others == pytest.approx(stored.others, abs=2e-3)


def test_the_circuit_is_known_of_the_last_checkpoint_alone() -> None:
    truths = known_truths("adder", LAST).truths
    assert set(truths) == {"addition"}
    assert {truth.level for truth in truths["addition"]} == {"heads", "nodes", "edges"}
    assert not known_truths("adder@1000", FOLDER / "step1000").truths


def test_an_early_checkpoint_cannot_do_the_task(last: Model, tmp_path: Path) -> None:
    assert can_do(last, "addition")
    assert not can_do(load_model("adder@250", tmp_path, LoadOptions(device="cpu")), "addition")


def test_no_text_is_lost_in_its_tokenizer(last: Model) -> None:
    assert last.pieces("37+48=85") == ("3", "7", "+", "4", "8", "=", "8", "5")
    assert "".join(last.pieces(" the sum of 3 and 4\n")) == " the sum of 3 and 4\n"
