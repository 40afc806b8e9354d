"""Codes read outside a run are those of the run: every recipe, position and kind of pairing."""

from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.capture.code_reader import TokenPair
from engine.config import DEFAULTS, PUBLISHED, ProbeConfig
from engine.errors import EngineError, ModelError
from engine.examples import Example
from engine.explaining.prompt_sets import prompt_sets, token_pairs
from engine.models.loading import Model
from engine.tasks.registry import TASKS

CONFIGS: dict[str, ProbeConfig] = {
    "default": DEFAULTS,
    "last token": msgspec.structs.replace(DEFAULTS, position="last"),
    "published": msgspec.structs.replace(DEFAULTS, sae=msgspec.structs.replace(PUBLISHED, steps=30)),
    "heads alone": ProbeConfig(),
    "no scale": msgspec.structs.replace(DEFAULTS, sae=msgspec.structs.replace(DEFAULTS.sae, scale=False)),
}


def without_pairs(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    return tuple(msgspec.structs.replace(each, pair=None) for each in examples)


def one_longer(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    first, *rest = examples
    return (msgspec.structs.replace(first, prompt=f"Then {first.prompt}"), *rest)


@pytest.mark.parametrize("change", [tuple, without_pairs, one_longer])
@pytest.mark.parametrize("name", CONFIGS)
def test_codes_of_the_runs_own_examples_are_the_same(name: str, change: Any, model: Model, finish: Any) -> None:
    examples = change(TASKS["ioi"].make(model, pairs=5, seed=0))
    run = finish(examples, CONFIGS[name])
    for seed_index in (0, 2):
        reader = run.reader(seed_index)
        pairs = token_pairs(model, examples, paired=reader.pairs_needed)
        assert torch.equal(reader.codes(pairs, reader.layout.ids)[0].int(), run.codes[seed_index])


def test_codes_do_not_depend_on_what_else_is_read(model: Model, finish: Any) -> None:
    run = finish(TASKS["ioi"].make(model, pairs=5, seed=0))
    reader = run.reader()
    pairs = token_pairs(model, run.examples, paired=True)
    turned = [*reversed(pairs), *pairs[:3]]
    nodes = reader.layout.ids
    assert torch.equal(reader.codes(turned, nodes)[0], torch.cat([run.codes[0].flip(0), run.codes[0][:3]]).long())
    codes = run.codes[0, :, 5]
    latents = reader.latents(pairs, nodes[5])
    assert torch.equal(latents.argmax(dim=1)[codes >= 0].int(), codes[codes >= 0])
    assert not latents[codes < 0].any()


def test_a_prompt_without_its_pair_is_refused_where_pairs_are_contrasted(model: Model, finish: Any) -> None:
    run = finish(TASKS["ioi"].make(model, pairs=3, seed=0))
    with pytest.raises(ModelError, match="without its pair") as refused:
        run.reader().codes([TokenPair((1, 2, 3))], run.reader().layout.ids[:1])
    assert refused.value.hint


def test_weights_of_another_model_are_refused(model: Model, finish: Any) -> None:
    run = finish(TASKS["ioi"].make(model, pairs=3, seed=0))
    weights = load_file(run.sae)
    save_file({name: each[..., :7].contiguous() for name, each in weights.items()}, run.sae)
    with pytest.raises(EngineError, match="7 wide") as refused:
        run.reader()
    assert refused.value.hint
    run.sae.write_bytes(b"nothing")
    with pytest.raises(EngineError, match="cannot be read"):
        run.reader()


def test_no_prompt_is_in_two_sets(model: Model) -> None:
    examples = TASKS["ioi"].make(model, pairs=6, seed=1)
    sets = prompt_sets(model, examples, "ioi", paired=True)
    parts = (sets.run, sets.learn, sets.learn_others, sets.judge, sets.judge_others)
    prompts = [each.own for part in parts for each in part]
    assert len(prompts) == len(set(prompts))
    assert (len(sets.learn), len(sets.judge), sets.held_out) == (80, 48, "task")
    assert all(each.other is not None for part in parts for each in part)
    own = prompt_sets(model, examples, None, paired=True)
    assert own.held_out == "examples"
    assert {*own.judge} == {each for row, each in enumerate(own.run) if row not in own.learn_from}
    assert len(own.judge) == 6
    assert not own.learn
