"""Test the expansion of a sweep: every combination once, labels, and keys that change with what decides the numbers."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog.checkpoint_folders import Checkpoint
from engine.catalog.checkpoints import checkpoints
from engine.catalog.local_models import bundled_folder, model_identity
from engine.config import LoadOptions
from engine.errors import ConfigError, HeadcodeError
from engine.examples import Example
from engine.sweeps.checkpoints import choose_checkpoints
from engine.sweeps.content_key import DecisiveVersions, content_key, content_of, installed_versions
from engine.sweeps.expansion import expand
from engine.sweeps.packs import pack, pack_key
from engine.sweeps.plan import SweepPlan, axes_of
from engine.sweeps.spec import spec_from_toml, spec_from_words

VERSIONS = DecisiveVersions(headcode="1", torch="2", transformer_lens="3", transformers="4")
MINE = (
    Example(prompt="a b", polarity="positive", pair=1),
    Example(prompt="a c", polarity="negative", pair=1),
    Example(prompt="off", polarity="negative", enabled=False),
)


class Inputs:
    models = Path("/nonexistent")

    def examples(self, name: str) -> tuple[Example, ...]:
        return (*MINE, Example(prompt=name, polarity="positive"))

    def checkpoints(self, _: str) -> Sequence[Checkpoint]:
        return ()


def plan_of(inputs: Inputs | None = None, *, pairs: int = 0, **words: str) -> SweepPlan:
    spec = spec_from_words({word.replace("_", "-"): text for word, text in words.items()}, pairs=pairs)
    return expand(spec, inputs or Inputs(), VERSIONS)


def test_units_are_the_product_of_the_axes_each_with_its_own_key() -> None:
    plan = plan_of(task="ioi,greater_than", seeds="0..4", **{"lambda": ".25,.5"}, draws="3")
    assert len(plan.units) == 2 * 5 * 2 * 3
    assert len({unit.key for unit in plan.units}) == len(plan.units)
    assert axes_of(plan.units) == {
        "task": ["ioi", "greater_than"],
        "model": ["toy"],
        "draw": ["0", "1", "2"],
        "lambda": ["0.25", "0.5"],
        "seeds": ["0", "1", "2", "3", "4"],
    }
    for unit in plan.units:
        labels, config = dict(unit.labels), plan.options_of(unit).config
        assert config.seeds == (int(labels["seeds"]),)
        assert config.sae.sparsity == float(labels["lambda"])
        assert plan.source_of(unit).task == labels["task"]
        assert unit.draw == int(labels["draw"])


def test_seeds_as_a_count_are_one_run() -> None:
    (unit,) = plan_of(task="ioi", seeds="3").units
    assert dict(unit.labels)["seeds"] == "0,1,2"


def test_the_same_axes_give_the_same_keys_and_an_extension_keeps_them() -> None:
    first = {unit.key for unit in plan_of(task="ioi", seeds="0..2").units}
    again = {unit.key for unit in plan_of(task="ioi", seeds="0..2").units}
    more = {unit.key for unit in plan_of(task="ioi", seeds="0..5", **{"lambda": ".5"}).units}  # .5 is the default
    assert first == again < more


def test_lambda_follows_the_recipe_of_the_unit() -> None:
    plan = plan_of(task="ioi", recipe="contrast,published")
    found = {dict(unit.labels)["recipe"]: plan.options_of(unit).config.sae for unit in plan.units}
    assert (found["contrast"].sparsity, found["contrast"].steps) == (0.5, 20)
    assert (found["published"].sparsity, found["published"].steps) == (0.02, 500)


def test_files_and_tasks_are_sources_and_only_tasks_are_drawn() -> None:
    plan = plan_of(task="ioi", examples="x/a.jsonl,y/b.jsonl", draws="4", pairs=3)
    assert [source.label for source in plan.sources] == ["ioi", "a.jsonl", "b.jsonl"]
    assert len(plan.units) == 4 + 2
    assert all(example.enabled for example in plan.sources[1].examples)
    assert plan.sources[0].pairs == 3
    same = plan_of(examples="x/a.jsonl,y/a.jsonl")
    assert [source.label for source in same.sources] == ["x/a.jsonl", "y/a.jsonl"]


CHANGES = {
    "task": "greater_than",
    "seeds": "7,",
    "lambda": "0.3",
    "steps": "21",
    "nodes": "heads,all",
    "dtype": "float16",
    "draws": "5,",
    "position": "last",
    "shuffles": "10",
}


@pytest.mark.parametrize("word", CHANGES)
def test_what_decides_the_numbers_is_in_the_key(word: str) -> None:
    plain = {unit.key for unit in plan_of(task="ioi").units}
    words = {"task": "ioi", word: CHANGES[word]}
    changed = {unit.key for unit in plan_of(**{name.replace("-", "_"): text for name, text in words.items()}).units}
    assert changed - plain


def test_the_device_is_not_in_the_key_and_versions_identity_and_pairs_are() -> None:
    plain = plan_of(task="ioi").units[0].key
    assert plan_of(task="ioi", device="cuda").units[0].key == plain
    assert plan_of(task="ioi", pairs=4).units[0].key != plain
    plan = plan_of(task="ioi")
    options, source = plan.options_of(plan.units[0]), plan.sources[0]
    content = content_of(source, options, draw=0, identity=model_identity(bundled_folder()), versions=VERSIONS)
    assert content_key(content) == plain
    for change in ({"model": "other"}, {"versions": msgspec.structs.replace(VERSIONS, torch="2.1")}):
        assert content_key(msgspec.structs.replace(content, **change)) != plain


def test_installed_versions_are_those_of_the_programs() -> None:
    import torch

    assert torch.__version__.startswith(installed_versions().torch.split("+")[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"task": "nothing"}, "nothing"),
        ({"model": "toy"}, "needs examples"),
        ({"task": "ioi", "model": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"task": "ioi", "lambda": "lots"}, "'lots' is not a number"),
        ({"task": "ioi", "lambda": "1000"}, "1000"),
        ({"task": "ioi", "nodes": "heads,tails"}, "'tails'"),
        ({"task": "ioi", "metric": "kl"}, "none are measured"),
        ({"task": "ioi", "codes": "1"}, "2 to 65536"),
        ({"examples": "a.jsonl", "draws": "3"}, "a.jsonl has its examples already"),
        ({"task": "ioi", "seeds": "0..999", "draws": "1000"}, "1000000 units"),
        ({"task": "ioi", "checkpoint": "all"}, "not known here"),
    ],
)
def test_what_cannot_be_expanded_is_named_with_the_way_out(words: dict[str, str], said: str) -> None:
    with pytest.raises(HeadcodeError, match=said) as found:
        plan_of(**words)
    assert found.value.hint


class Folders(Inputs):
    def checkpoints(self, model: str) -> Sequence[Checkpoint]:
        return checkpoints(model)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Return a folder of the bundled model at four steps, all with the same weights."""
    for step in (0, 200, 100, 1000):
        folder = tmp_path / f"step-{step}"
        folder.mkdir()
        for path in bundled_folder().iterdir():
            (folder / path.name).symlink_to(path)
    (tmp_path / "notes").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("all", [0, 100, 200, 1000]),
        ("0..1000:200", [0, 200, 1000]),
        ("step-1000,100", [100, 1000]),
        ("0..150:50,200", [0, 100, 200]),
    ],
)
def test_a_folder_of_model_folders_is_a_model_with_checkpoints(trained: Path, text: str, steps: list[int]) -> None:
    plan = plan_of(Folders(), task="ioi", model=str(trained), checkpoint=text)
    assert [unit.model for unit in plan.units] == [f"{trained}@step-{step}" for step in steps]
    assert axes_of(plan.units)["checkpoint"] == [f"step-{step}" for step in steps]
    assert axes_of(plan.units)["model"] == [trained.name]
    assert len({unit.key for unit in plan.units}) == 1  # the same weights give the same numbers: one run for all


def test_a_checkpoint_that_does_not_exist_is_named_with_those_that_do(trained: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint '7'") as found:
        plan_of(Folders(), task="ioi", model=str(trained), checkpoint="7")
    assert "step-0, step-100" in found.value.hint


def test_a_model_whose_checkpoints_are_not_known_is_taken_to_name_them_by_step() -> None:
    found = choose_checkpoints("pythia", ("0..2000:1000", "main"), ())
    assert [each.name for each in found] == ["main", "step0", "step1000", "step2000"]
    known = [Checkpoint(name="1800", step=1800), Checkpoint(name="60", step=60)]
    assert [each.name for each in choose_checkpoints("adder", ("all",), known)] == ["60", "1800"]


TOML = """
name = "lambda and seeds"
task = ["ioi", "greater_than"]
lambda = [0.25, 0.5]
seeds = "0..1"
train_examples = 10
grade = false
pairs = 4
"""


def test_a_file_says_the_same_as_the_command_line() -> None:
    spec = spec_from_toml(TOML)
    words = {"task": "ioi,greater_than", "lambda": "0.25,0.5", "seeds": "0..1", "train-examples": "10", "grade": "no"}
    assert spec == spec_from_words(words, name="lambda and seeds", pairs=4)
    over = spec.merged(spec_from_words({"seeds": "5..6"}, name="other"))
    assert (over.name, over.axes["seeds"], over.pairs) == ("other", ("5,", "6,"), 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task = [", "not TOML"),
        ("taks = 'ioi'", "no axis 'taks'"),
        ("task = []", "empty list"),
        ("task = [[1]]", "no value"),
        ("name = 3", "name is 3"),
        ("pairs = 'x'", "pairs is 'x'"),
        ("pairs = -1", "less than 1"),
        ("usable = 1", "usable is 1"),
        ("lambda = '0..1:0'", "step '0'"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_the_key_and_the_value(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        spec_from_toml(text, source="mine.toml")
    assert "mine.toml" in found.value.message
    assert found.value.hint
    if "taks" in text:
        assert "'task'" in found.value.hint


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 9), st.integers(1, 20))
def test_packs_hold_every_unit_once_by_model(models: list[int], workers: int, most: int) -> None:
    items = [(pack_key(f"m{model}", LoadOptions()), index) for index, model in enumerate(models)]
    packs = pack(items, workers=workers, most=most)
    assert sorted(itertools.chain.from_iterable(members for _, members in packs)) == list(range(len(models)))
    keys = [key for key, _ in packs]
    assert len(list(itertools.groupby(keys))) == len(set(models))
    for key, members in packs:
        assert 0 < len(members) <= most
        assert list(members) == sorted(members)
        assert {f"m{models[index]}" for index in members} == {key.model}
