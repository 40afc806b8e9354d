"""The table of options: nothing missing, nothing said twice, values read and written, presets."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import (
    Dtype,
    EffectsConfig,
    LoadOptions,
    PatchingMethod,
    PatchingMetric,
    ProbeConfig,
    Recipe,
    Replacement,
    SAEConfig,
)
from engine.errors import ConfigError, HeadcodeError, ModelError
from engine.planning.option_table import OPTIONS, find_option, help_of
from engine.planning.option_text import format_value, read_value, set_value
from engine.planning.presets import PRESETS, PresetName, find_preset, with_preset
from engine.planning.run_options import RunOptions, changed_options, reset, value_of, with_open_lambda, with_value

NOWHERE = Path("/nonexistent")


def leaves(config: type[msgspec.Struct]) -> set[str]:
    inner = {"sae": SAEConfig, "cause": EffectsConfig}
    found = set()
    for name in config.__struct_fields__:
        found |= {f"{name}.{leaf}" for leaf in leaves(inner[name])} if name in inner else {name}
    return found


def test_every_field_of_a_config_has_its_meaning() -> None:
    machine = {"model", *LoadOptions.__struct_fields__}
    assert {option.path for option in OPTIONS} == leaves(ProbeConfig) | machine
    assert machine == set(RunOptions.__struct_fields__) - {"config"}
    assert len({option.path for option in OPTIONS}) == len({option.flag for option in OPTIONS}) == len(OPTIONS)
    for option in OPTIONS:
        assert option.title
        assert option.meaning.endswith("."), option.path
        assert option.choices or option.range or option.kind == "yes", option.path
        assert help_of(option.path).startswith(option.meaning)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("sae.recipe", Recipe),
        ("cause.method", PatchingMethod),
        ("cause.metric", PatchingMetric),
        ("cause.replacement", Replacement),
        ("dtype", Dtype),
    ],
)
def test_choices_are_those_of_the_config(path: str, kind: object) -> None:
    assert find_option(path).choices == get_args(kind)


def test_choices_and_suggestions_are_accepted() -> None:
    for option in OPTIONS:
        for text in (*option.choices, *(() if option.kind == "device" else option.suggestions)):
            set_value(RunOptions(), option, text, NOWHERE)


def test_what_is_said_of_a_value_is_read_as_that_value() -> None:
    options = RunOptions()
    for option in OPTIONS:
        value = value_of(options, option.path)
        output = "" if value is None else format_value(option, value)
        assert read_value(option, output, NOWHERE) == value, option.path


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=64, unique=True))
def test_seeds_survive_being_written(seeds: list[int]) -> None:
    option = find_option("seeds")
    assert read_value(option, format_value(option, tuple(seeds)), NOWHERE) == tuple(seeds)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("sae.n_codes", "1", ("n_codes=1", "2 to 65536")),
        ("sae.n_codes", "many", ("Codes (K)", "'many'", "2 to 65536")),
        ("sae.n_codes", "", ("Codes (K)", "2 to 65536")),
        ("sae.n_codes", "9" * 40, ("not a whole number", "2 to 65536")),
        ("sae.sparsity", "-1", ("sparsity=-1.0", "at least 0")),
        ("sae.sparsity", "nan", ("'nan'", "0 to 100")),
        ("sae.steps", "0", ("steps=0", "1 to 1000000")),
        ("sae.learning_rate", "0", ("learning_rate=0.0", "above 0")),
        ("sae.training_examples", "1", ("training_examples=1", "each polarity")),
        ("sae.recipe", "other", ("Recipe", "'other'", "contrast, published")),
        ("sae.scale", "maybe", ("'maybe'", "yes or no")),
        ("seeds", "1,1", ("seeds=[1, 1]", "different")),
        ("seeds", "65", ("65", "1 to 64")),
        ("seeds", "1,x", ("'x'", "whole number")),
        ("position", "first", ("'first'", "mean, last, at:N")),
        ("shuffles", "-5", ("shuffles=-5", "0 to 1000000")),
        ("bootstraps", "0", ("bootstraps=0", "1 to 10000")),
        ("circuit_size", "0", ("circuit_size=0", "at least one")),
        ("theta", "2", ("theta=2.0", "between 0 and 1")),
        ("cause.method", "magic", ("'magic'", "attribution")),
        ("cause.metric", "magic", ("'magic'", "kl")),
        ("cause.replacement", "magic", ("'magic'", "resample")),
        ("cause.budget", "0", ("budget=0.0", "above 0")),
        ("cause.gradient_steps", "1001", ("gradient_steps=1001", "0 to 1000")),
        ("cause.examples", "0", ("examples=0", "at least one")),
        ("device", "", ("Device", "cuda")),
        ("devices", "two", ("Several GPUs", "'two'", "1 or more")),
        ("device_map", "./nowhere.json", ("./nowhere.json", "auto, balanced, or a JSON file")),
        ("device_map", '{"a": 0, "b": "cpu"}', ("mixes GPUs with CPU", "every module")),
        ("max_memory", "much", ("'much'", "20GiB")),
        ("dtype", "int8", ("Precision", "'int8'", "auto, float32, bfloat16, float16")),
    ],
)
def test_a_bad_value_is_named_with_what_is_accepted(path: str, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        set_value(RunOptions(), find_option(path), text, NOWHERE)
    output = f"{caught.value.message} {caught.value.hint}"
    assert all(word in output for word in words), output


def test_a_model_that_can_be_none_is_refused(tmp_path: Path) -> None:
    for text in ("/no/such/folder", "a b c", "\x1b[2J", str(tmp_path)):
        with pytest.raises(ModelError):
            set_value(RunOptions(), find_option("model"), text, NOWHERE)


@given(st.text(max_size=20))
def test_no_text_breaks_a_field(text: str) -> None:
    for option in OPTIONS:
        try:
            options = set_value(RunOptions(), option, text, NOWHERE)
        except HeadcodeError:
            continue
        assert isinstance(options, RunOptions)


def test_another_recipe_takes_its_own_values_along() -> None:
    options = with_value(RunOptions(), "sae.recipe", "published")
    assert (options.config.sae.steps, options.config.sae.training_examples) == (500, 10)
    own = with_value(with_value(RunOptions(), "sae.steps", 77), "sae.recipe", "published")
    assert (own.config.sae.steps, own.config.sae.training_examples) == (77, 10)
    assert with_value(own, "sae.recipe", "contrast").config.sae.training_examples == 20


def test_what_a_queued_run_settled_counts_as_left_open() -> None:
    stored = RunOptions(config=ProbeConfig(nodes="all", sae=SAEConfig(sparsity=0.5)))
    assert changed_options(stored, model="toy", models=NOWHERE) == ()
    assert with_open_lambda(stored, NOWHERE).config.sae.sparsity is None
    own = RunOptions(config=ProbeConfig(nodes="all", sae=SAEConfig(sparsity=0.3)))
    assert with_open_lambda(own, NOWHERE) == own
    assert [option.path for option in changed_options(own, model="toy", models=NOWHERE)] == ["sae.sparsity"]


def test_what_was_changed_is_known_and_can_be_put_back() -> None:
    options = RunOptions()
    for path, value in (("sae.n_codes", 50), ("seeds", (7,)), ("cause.method", "exact"), ("device", "cpu")):
        options = with_value(options, path, value)
    options = with_value(options, "model", "gpt2")
    output = [option.path for option in changed_options(options, model="toy", models=NOWHERE)]
    assert output == ["sae.n_codes", "seeds", "cause.method", "model", "device"]
    for path in output:
        options = reset(options, path, model="toy")
    assert options == RunOptions()
    published = with_value(RunOptions(), "sae.recipe", "published")
    assert [option.path for option in changed_options(published, model="toy", models=NOWHERE)] == ["sae.recipe"]
    assert reset(published, "sae.recipe", model="toy") == RunOptions()
    assert reset(with_value(published, "sae.steps", 9), "sae.steps", model="toy") == published


def test_presets_leave_position_model_and_machine_alone() -> None:
    assert [preset.name for preset in PRESETS] == list(get_args(PresetName))
    mine = RunOptions(config=ProbeConfig(position="last", circuit_size=4), model="gpt2", device="cpu")
    for preset in PRESETS:
        options = with_preset(mine, preset.name)
        assert (options.config.position, options.config.circuit_size) == ("last", 4)
        assert (options.model, options.device) == ("gpt2", "cpu")
        assert options.config.seeds == preset.config.seeds
    assert with_preset(mine, "published").config.sae.recipe == "published"
    with pytest.raises(ConfigError, match="quik") as caught:
        find_preset("quik")
    assert "quick, published, thorough" in caught.value.hint


def test_the_default_in_the_help_is_the_one_in_force() -> None:
    for option in OPTIONS:
        value = value_of(RunOptions(), option.path)
        assert (value is None) == (not option.default), option.path
        assert format_value(option, value) == (option.default or option.unset), option.path
