"""Checkpoints by name: of the adder, a folder of folders, published schedules, and revisions."""

import shutil
from pathlib import Path

import pytest

from engine.catalog.checkpoint_folders import Checkpoint, checkpoint_folder, split_checkpoint, step_of
from engine.catalog.checkpoints import PYTHIA_STEPS, PYTHIA_V0_STEPS, STANFORD_STEPS, checkpoints
from engine.catalog.local_models import bundled_folder, find_model, local_models, model_identity, read_summary
from engine.errors import ModelError


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of checkpoints, beside files and folders that are none."""
    for name in ("checkpoint-500", "checkpoint-1500", "checkpoint-1000", "final", ".step3", "logs7"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if name != "logs7":
            shutil.copytree(bundled_folder("adder") / "step0", tmp_path / "runs" / name, dirs_exist_ok=True)
    (tmp_path / "runs" / "trainer_state.json").write_text("{}")
    return tmp_path / "runs"


def test_the_adder_has_about_a_dozen_by_step() -> None:
    known = checkpoints("adder")
    steps = [each.step for each in known]
    assert 10 <= len(known) <= 14
    assert steps == sorted(steps, key=lambda step: step or 0)
    assert [each.name for each in known] == [str(step) for step in steps]


def test_a_checkpoint_of_the_adder_is_a_model_of_its_own(tmp_path: Path) -> None:
    known = checkpoints("adder")
    sources = [find_model(f"adder@{each.name}", tmp_path) for each in known]
    assert [source.name for source in sources] == [f"adder@{each.name}" for each in known]
    assert len({model_identity(source.folder) for source in sources if source.folder}) == len(known)
    last, named = find_model("adder", tmp_path), find_model(f"adder@step{known[-1].name}", tmp_path)
    assert (last.name, last.folder) == ("adder", sources[-1].folder)
    assert (named.name, named.folder) == (sources[-1].name, sources[-1].folder)
    assert read_summary(last).checkpoints == tuple(each.name for each in known)
    assert read_summary(sources[0]).checkpoints == ()
    assert [source.name for source in local_models(tmp_path)][:2] == ["toy", "adder"]


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("adder@9", "adder has no checkpoint '9'", "It has 0, 250"),
        ("adder@last", "adder has no checkpoint 'last'", "It has 0, 250"),
        ("toy@9", "toy has no checkpoints", "adder has"),
        ("./nowhere@9", "no folder", "On this machine: toy, adder"),
        ("gpt2@../../etc", "neither a folder nor a model name", "On this machine"),
    ],
)
def test_a_name_without_its_checkpoint_is_refused(tmp_path: Path, name: str, says: str, hint: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        find_model(name, tmp_path)
    assert hint in caught.value.hint


def test_a_folder_of_folders_is_listed_by_step_and_loaded_by_name_or_step(runs: Path) -> None:
    assert [(each.name, each.step) for each in checkpoints(str(runs))] == [
        ("checkpoint-500", 500),
        ("checkpoint-1000", 1000),
        ("checkpoint-1500", 1500),
    ]
    for name in ("checkpoint-1000", "1000"):
        found = find_model(f"{runs}@{name}", runs)
        assert (found.origin, found.folder) == ("folder", runs / "checkpoint-1000")
    with pytest.raises(ModelError, match="no checkpoint '7'") as caught:
        find_model(f"{runs}@7", runs)
    assert "checkpoint-500, checkpoint-1000, checkpoint-1500" in caught.value.hint
    with pytest.raises(ModelError, match=r"no config\.json") as caught:
        find_model(str(runs), runs)
    assert f"{runs}@checkpoint-1500" in caught.value.hint
    assert checkpoints(f"{runs}@1000") == (Checkpoint(name="checkpoint-1000", step=1000),)
    shutil.copytree(runs / "checkpoint-500", runs / "step500")
    assert checkpoint_folder("runs", runs, "step500") == runs / "step500"
    with pytest.raises(ModelError, match="2 checkpoints of step 500"):
        checkpoint_folder("runs", runs, "500")


def test_a_folder_whose_own_name_has_the_sign_is_itself(runs: Path) -> None:
    odd = runs.parent / "mine@5"
    shutil.copytree(runs / "final", odd)
    assert find_model(str(odd), runs).folder == odd


def test_folders_without_checkpoints_say_so(runs: Path) -> None:
    with pytest.raises(ModelError, match="is one model without checkpoints"):
        checkpoints(str(runs / "final"))
    with pytest.raises(ModelError, match="is a folder without checkpoints"):
        checkpoints(str(runs / "logs7"))
    with pytest.raises(ModelError, match="has no checkpoints"):
        find_model(f"{runs / 'logs7'}@5", runs)


def test_published_schedules_are_those_of_the_library() -> None:
    from transformer_lens.tools.model_registry import checkpoints as library

    assert list(PYTHIA_STEPS) == library.PYTHIA_CHECKPOINTS
    assert list(PYTHIA_V0_STEPS) == library.PYTHIA_V0_CHECKPOINTS
    assert list(STANFORD_STEPS) == library.STANFORD_CRFM_CHECKPOINTS
    for name in ("EleutherAI/pythia-70m", "EleutherAI/pythia-160m-deduped-v0", "stanford-crfm/alias-gpt2-small-x21"):
        assert [each.step for each in checkpoints(name)] == library.get_checkpoint_labels(name)[0]
    assert checkpoints("EleutherAI/pythia-70m")[-1].name == "step143000"
    assert checkpoints("stanford-crfm/alias-gpt2-small-x21")[-1].name == "checkpoint-400000"


def test_a_revision_is_one_checkpoint_whatever_its_name() -> None:
    assert checkpoints("allenai/OLMo-1B@step20000") == (Checkpoint(name="step20000", step=20000),)
    assert checkpoints("gpt2@main") == (Checkpoint(name="main", step=None),)
    assert checkpoints("adder@step250") == (Checkpoint(name="250", step=250),)
    found = find_model("EleutherAI/pythia-70m@step1000", Path("/nowhere"))
    assert (found.name, found.origin, found.folder) == ("EleutherAI/pythia-70m@step1000", "hub", None)


@pytest.mark.parametrize(
    ("model", "says", "hint"),
    [
        ("gpt2", "No checkpoints of 'gpt2' are known", "gpt2@REVISION"),
        ("toy", "No checkpoints of 'toy'", "adder"),
        ("NeelNanda/Attn_Only_2L512W_C4_Code", "pickled files", "headcode models import"),
        ("adder@17", "adder has no checkpoint '17'", "It has 0, 250"),
    ],
)
def test_models_without_known_checkpoints_are_refused_in_words(model: str, says: str, hint: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        checkpoints(model)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "step"), [("step1000", 1000), ("checkpoint-500", 500), ("7", 7), ("main", None), ("x" + "9" * 40, None)]
)
def test_a_step_is_the_number_at_the_end(name: str, step: int | None) -> None:
    assert step_of(name) == step


def test_a_name_is_split_at_its_last_sign() -> None:
    assert split_checkpoint("a@b/c@step5") == ("a@b/c", "step5")
    assert split_checkpoint("adder") == ("adder", "")
    assert split_checkpoint("@5") == ("@5", "")
    assert split_checkpoint("adder@") == ("adder@", "")
