"""An atlas read by requests: in parts, stopped, gone on with by another worker; and the metrics on a run's prompts."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from engine.config import EffectsConfig
from engine.errors import Cancelled, ConfigError, ExampleError, ModelError
from engine.events import SilentMonitor
from engine.examples import Example
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.node_atlas import Atlas
from engine.protocol import MeasureOnPrompts, ReadAtlas
from engine.tasks.registry import TASKS
from engine.worker.measure_on_prompts import measure_on_prompts
from engine.worker.read_atlas import AtlasRequests


def asked(folder: Path, **given: Any) -> ReadAtlas:
    values = {"job": "t1", "model": "toy", "models": "/nowhere", "device": "cpu", "corpus": "toy", "tokens": 3000}
    return ReadAtlas(**{**values, "folder": str(folder), "seconds": 0.0, **given})


@pytest.mark.usefixtures("model")
def test_parts_add_up_whoever_reads_them(warm_model: WarmModel, tmp_path: Path) -> None:
    whole = AtlasRequests(warm_model).answer(asked(tmp_path / "other", seconds=60.0), SilentMonitor())
    assert whole.finished
    assert whole.done == whole.total
    done = []
    while True:
        # Every part by another worker, which finds what the one before it saved.
        found = AtlasRequests(warm_model).answer(asked(tmp_path), SilentMonitor())
        done.append(found.done)
        if found.finished:
            break
        assert found.atlas is None
        assert list(tmp_path.glob("*.part.safetensors"))
    assert done == sorted(set(done))
    assert len(done) > 2
    assert not list(tmp_path.iterdir())
    assert found.atlas is not None
    assert whole.atlas is not None
    same = msgspec.structs.replace(found.atlas, source=whole.atlas.source)
    assert same == whole.atlas
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(same), type=Atlas) == same
    known = AtlasRequests(warm_model).answer(asked(tmp_path, known=(whole.key,)), SilentMonitor())
    assert (known.finished, known.atlas) == (True, None)


@pytest.mark.usefixtures("model")
def test_a_part_that_is_stopped_leaves_the_one_before(warm_model: WarmModel, tmp_path: Path, recorder: Any) -> None:
    requests = AtlasRequests(warm_model)
    first = requests.answer(asked(tmp_path), SilentMonitor())
    stopped = recorder()
    stopped._stopped = True
    with pytest.raises(Cancelled):
        requests.answer(asked(tmp_path), stopped)
    again = requests.answer(asked(tmp_path), SilentMonitor())
    assert again.done > first.done


@pytest.mark.parametrize(("given", "named"), [({"tokens": 5}, "5 tokens"), ({"corpus": "/nowhere.txt"}, "nowhere")])
def test_what_cannot_be_read_is_named(warm_model: WarmModel, tmp_path: Path, given: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        AtlasRequests(warm_model).answer(asked(tmp_path, **given), SilentMonitor())
    assert refused.value.hint


def on_prompts(model: Model, examples: tuple[Example, ...], **given: Any) -> MeasureOnPrompts:
    values: dict[str, Any] = {"job": "t2", "model": "toy", "models": "/nowhere", "device": "cpu", "task": None}
    values |= {"identity": model.info.identity, "examples": examples, "config": EffectsConfig(method="exact")}
    return MeasureOnPrompts(**{**values, **given})


def test_attention_from_the_end_is_that_of_the_positives(model: Model, warm_model: WarmModel) -> None:
    examples = TASKS["ioi"].make(model, pairs=3, seed=0)
    found = measure_on_prompts(on_prompts(model, examples), warm_model, SilentMonitor())
    positives = [each for each in examples if each.positive]
    assert found.prompts == len(positives) == 3
    rows = []
    for each in positives:
        ids, _ = model.encode(each.prompt)
        _, cache = model.bridge.run_with_cache(torch.tensor([ids]))
        rows.append(cache["blocks.2.attn.hook_pattern"][0, 6, -1].flip(0))
    shortest = min(map(len, rows))
    wanted = torch.stack([row[:shortest] for row in rows]).mean(dim=0).tolist()
    head = next(each for each in found.nodes if (each.layer, each.head) == (2, 6))
    assert list(head.at_end) == pytest.approx(wanted, abs=1e-4)
    assert {"previous", "first", "norm", "copying"} <= set(head.metrics)
    assert [each.at_end for each in found.nodes if each.head < 0] == [()] * model.info.n_layers
    few = measure_on_prompts(
        on_prompts(model, examples, config=EffectsConfig(method="exact", examples=2)), warm_model, SilentMonitor()
    )
    assert few.prompts == 2


def test_other_weights_and_no_positives_are_refused(model: Model, warm_model: WarmModel) -> None:
    examples = TASKS["ioi"].make(model, pairs=1, seed=0)
    with pytest.raises(ModelError, match="other weights"):
        measure_on_prompts(on_prompts(model, examples, identity="0" * 64), warm_model, SilentMonitor())
    negatives = tuple(each for each in examples if not each.positive)
    with pytest.raises(ExampleError, match="no positives") as refused:
        measure_on_prompts(on_prompts(model, negatives), warm_model, SilentMonitor())
    assert refused.value.hint
