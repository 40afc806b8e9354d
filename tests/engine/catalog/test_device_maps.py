"""Devices, device maps and memory limits: the arguments given to TransformerBridge, for described machines."""

from typing import Any

import pytest

from engine.catalog.device_maps import Gpu, Placement, place, read_device_map, read_max_memory
from engine.config import LoadOptions
from engine.errors import ConfigError

GIB = 1 << 30
TWO = (Gpu(name="NVIDIA X", free_bytes=20 * GIB), Gpu(name="NVIDIA X", free_bytes=18 * GIB))


def small() -> int:
    return 10 * GIB


def large() -> int:
    return 30 * GIB


def larger() -> int:
    return 40 * GIB


@pytest.mark.parametrize(
    ("options", "gpus", "weights", "wanted"),
    [
        ({}, TWO, larger, None),
        ({"device": "cuda:1"}, TWO, larger, None),
        ({"devices": 1}, TWO, small, Placement(device="cuda:0")),
        ({"devices": 2}, TWO, large, Placement(n_devices=2, max_memory={0: 20 * GIB, 1: 18 * GIB})),
        (
            {"devices": 2, "max_memory": "16GiB"},
            TWO,
            large,
            Placement(n_devices=2, max_memory={0: 16 * GIB, 1: 16 * GIB}),
        ),
        (
            {"device_map": "balanced", "max_memory": "15GiB,1=17GiB,cpu=60GiB"},
            TWO,
            large,
            Placement(device_map="balanced", max_memory={0: 15 * GIB, 1: 17 * GIB}),
        ),
        ({"device_map": "auto"}, (), larger, Placement(device_map="auto")),
        (
            {"device_map": "auto", "max_memory": "cpu=8GiB"},
            (),
            larger,
            Placement(device_map="auto", max_memory={"cpu": 8 * GIB}),
        ),
        (
            {"device_map": '{"transformer": 0, "lm_head": "cuda:1"}'},
            TWO,
            larger,
            Placement(device_map={"transformer": 0, "lm_head": 1}),
        ),
        ({"device_map": '{"": "disk"}'}, TWO, larger, Placement(device_map={"": "disk"})),
    ],
)
def test_what_the_bridge_is_told(options: dict[str, Any], gpus: Any, weights: Any, wanted: Placement | None) -> None:
    found = place(LoadOptions(**options), gpus, weights)
    assert found == wanted
    if found is not None:
        assert None not in found.arguments.values()


@pytest.mark.parametrize(
    ("options", "gpus", "words"),
    [
        ({"devices": 4}, TWO, ("--devices 4", "cuda:0 (NVIDIA X), cuda:1 (NVIDIA X) and the CPU", "--devices 2")),
        ({"devices": 2}, (), ("no CUDA device, only the CPU", "--device cpu")),
        ({"devices": 0}, TWO, ("--devices 0", "at least one")),
        ({"devices": 2, "device": "cuda:1"}, TWO, ("--device cuda:1 and --devices 2 contradict",)),
        ({"device_map": "auto", "device": "cpu"}, TWO, ("--device cpu and --device-map contradict",)),
        ({"devices": 2, "device_map": "auto"}, TWO, ("--devices 2 and --device-map contradict",)),
        ({"max_memory": "20GiB"}, TWO, ("nothing splits it", "--device-map auto")),
        ({"devices": 2}, TWO, ("42.9 GB", "40.8 GB", "TransformerBridge refuses a model on both", "--dtype bfloat16")),
        ({"device_map": "auto", "max_memory": "5GiB"}, TWO, ("42.9 GB", "10.7 GB", "a larger --max-memory")),
        ({"device_map": '{"a": 0, "b": "cpu"}'}, TWO, ("mixes GPUs with CPU or disk", "every module on GPUs")),
        ({"device_map": '{"a": 0, "b": 2}'}, TWO, ("names cuda:2", "cuda:1 (NVIDIA X) and the CPU")),
        ({"device_map": '{"a": "cuda:0"}'}, (), ("names cuda:0", "no CUDA device")),
        ({"devices": 2, "max_memory": "much"}, TWO, ("'much' is no limit", "20GiB")),
    ],
)
def test_what_cannot_work_is_refused_before_loading(options: dict[str, Any], gpus: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        place(LoadOptions(**options), gpus, larger)
    output = f"{caught.value.message} {caught.value.hint}"
    assert all(word in output for word in words), output


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "nonsense", '{"a": "meta"}', '{"a": -1}', '{"a": 1.5}', '{"a": "gpu"}', '{"a": null}', "{"]
)
def test_a_bad_map_is_refused_with_what_one_is(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_device_map(text)
    assert "JSON file" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {}),
        ("20GiB", {"gpu": 20 * GIB}),
        ("20gb", {"gpu": 20 * 10**9}),
        ("0=1.5GiB, cuda:1=512MiB ,cpu=60GiB", {0: GIB * 3 // 2, 1: 512 << 20, "cpu": 60 * GIB}),
    ],
)
def test_limits_are_read(text: str, wanted: dict[str | int, int]) -> None:
    assert read_max_memory(text) == wanted


@pytest.mark.parametrize("text", ["0", "20XB", "disk=1GiB", "=1GiB", "cpu", "-1GiB", "1=", "20GiB,,0=x"])
def test_bad_limits_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-memory"):
        read_max_memory(text)
