"""Device maps that need no GPU, on the bundled model: all on the CPU, or weights on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.capture.head_outputs import head_outputs, read_examples
from engine.config import LoadOptions, ProbeConfig
from engine.errors import ConfigError
from engine.models.loading import load_model, pick_device
from engine.models.warm_model import WarmModel
from engine.patching.attribution import attribute
from engine.protocol import InspectHead
from engine.worker.head_inspection import Inspector
from engine.worker.pipeline import versions

from ..by_hand import all_heads, exact, ioi, prepared

MAPS = {
    "auto": "auto",
    "cpu": json.dumps({"": "cpu"}),
    "all on disk": json.dumps({"": "disk"}),
    "disk": json.dumps(
        {
            "transformer.wte": "cpu",
            "transformer.wpe": "cpu",
            "transformer.h": "disk",
            "transformer.ln_f": "disk",
            "lm_head": "cpu",
        }
    ),
}


@pytest.mark.parametrize("name", list(MAPS))
def test_a_map_of_cpu_and_disk_changes_no_number(name: str, tmp_path: Path, recorder: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("auto takes the GPU")
    torch.set_num_threads(1)
    plain = load_model("toy", tmp_path, LoadOptions(device="cpu"))
    mapped = load_model("toy", tmp_path, LoadOptions(device_map=MAPS[name]))
    assert (mapped.device.type, mapped.spread) == ("cpu", "weights on disk" if "disk" in name else "")
    assert versions(mapped).device.endswith(", weights on disk") == ("disk" in name)
    found = []
    for model in (plain, mapped):
        read = read_examples(model, ioi(model), ProbeConfig(), recorder(), None)
        passes, inputs = prepared(model, ioi(model), recorder(), method="attribution")
        found.append(
            (
                read.z,
                head_outputs(model, read.z),
                attribute(passes, inputs),
                exact(model, passes, inputs, all_heads(model)[::5]),
            )
        )
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("name", ["cpu", "disk", "all on disk"])
def test_a_head_is_inspected_as_well(name: str, tmp_path: Path) -> None:
    asked = {"job": "l", "model": "toy", "prompt": "Mary and John", "layer": 1, "head": 2, "models": str(tmp_path)}
    looks = [
        Inspector(WarmModel()).answer(InspectHead(**asked, **options))  # type: ignore[arg-type]
        for options in ({"device": "cpu"}, {"device_map": MAPS[name]})
    ]
    assert looks[0] == looks[1]


def test_devices_that_are_not_there_are_named_with_those_that_are(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    for options in (LoadOptions(devices=2), LoadOptions(device_map='{"": 0}')):
        with pytest.raises(ConfigError, match="only the CPU"):
            load_model("toy", tmp_path, options)
        with pytest.raises(ConfigError, match="only the CPU"):
            WarmModel().holds("toy", options)
    with pytest.raises(ConfigError, match="only the CPU"):
        pick_device("cuda:1")
