"""The plan by device: weights by the map, everything else where it is computed; on machines that are described."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.catalog.device_maps import Gpu, Placement
from engine.catalog.model_shape import ModelShape, shape_of
from engine.config import EffectsConfig, PatchingMethod, ProbeConfig
from engine.planning.device_memory import DeviceMemory, memory_by_device
from engine.planning.memory_estimate import MemoryEstimate, MemoryPart, Workload, estimate_memory

GIB = 1 << 30
TWO = (Gpu(name="NVIDIA X", free_bytes=20 * GIB), Gpu(name="NVIDIA X", free_bytes=18 * GIB))
THREE = (*TWO, Gpu(name="NVIDIA X", free_bytes=16 * GIB))
WEIGHTS = {
    "model.embed_tokens.weight": 2 * GIB,
    "model.layers.0.w": 4 * GIB,
    "model.layers.1.w": 4 * GIB,
    "model.layers.2.w": 4 * GIB,
    "lm_head.weight": 2 * GIB,
}
TOTAL = sum(WEIGHTS.values())
PARTS = {"program": GIB, "model": TOTAL, "activations": 3 * GIB, "SAE": 2 * GIB, "scores": 4 * GIB, "causes": 7 * GIB}
"""Of the activations 2 GiB stay; of the causes 6 GiB are kept in the layers."""


def estimate(*, model: int = TOTAL, graph: int = 6 * GIB) -> MemoryEstimate:
    parts = tuple(MemoryPart(name=name, n_bytes=n) for name, n in (PARTS | {"model": model}).items())
    return MemoryEstimate(
        parts=parts, peak=0, cache_bytes=GIB // 4, kept=2 * GIB, batch=GIB // 2, graph=graph, matrices=3 * GIB
    )


def plan(
    device_map: Any = None, gpus: tuple[Gpu, ...] = (), found: MemoryEstimate | None = None, **placed: Any
) -> dict[str, DeviceMemory]:
    placement = Placement(device_map=device_map, **placed)
    devices = memory_by_device(found or estimate(), placement, WEIGHTS, gpus, 64 * GIB)
    return {device.name: device for device in devices}


def parts_of(device: DeviceMemory) -> dict[str, float]:
    return {part.name: part.n_bytes / GIB for part in device.parts}


def test_each_gpu_has_the_weights_of_its_modules_and_the_gradients_of_its_layers() -> None:
    by_hand = {"model.embed_tokens": 0, "model.layers": 0, "model.layers.2": 1, "lm_head": 1}
    found = plan(by_hand, TWO)
    assert list(found) == ["cuda:0", "cuda:1", "cpu"]
    # Two of three layers are on the first: a third of the output matrices is copied there.
    assert parts_of(found["cuda:0"]) == {"weights": 10, "activations": 4, "SAE": 2, "scores": 4, "causes": 5}
    assert found["cuda:0"].n_bytes == (10 + 2 + 1 + 5) * GIB
    assert parts_of(found["cuda:1"]) == {"weights": 6, "activations": 0.5, "causes": 2}
    assert found["cuda:1"].n_bytes == 8 * GIB
    # The program and what is stored for the next run are in the machine's own memory.
    assert parts_of(found["cpu"]) == {"program": 1, "activations": 0.25}
    assert [device.free_bytes for device in found.values()] == [20 * GIB, 18 * GIB, 64 * GIB]
    assert found["cuda:1"].words == "weights 6.4 GB, activations 537 MB, causes 2.1 GB"


def test_the_device_of_the_embedding_has_everything_that_is_not_in_layers() -> None:
    found = plan({"": 0, "model.embed_tokens": 1}, TWO)
    assert parts_of(found["cuda:1"]) == {"weights": 2, "activations": 6, "SAE": 2, "scores": 4, "causes": 1}
    assert parts_of(found["cuda:0"]) == {"weights": 14, "activations": 0.5, "causes": 6}


@pytest.mark.parametrize(("placed", "n"), [({"n_devices": 2}, 2), ({"device_map": "balanced"}, 3)])
def test_splits_of_transformer_bridge_count_as_even(placed: dict[str, Any], n: int) -> None:
    found = plan(gpus=THREE, max_memory={1: 9 * GIB}, **placed)
    assert list(found) == [*(f"cuda:{place}" for place in range(n)), "cpu"]
    assert {parts_of(found[f"cuda:{place}"])["weights"] for place in range(n)} == {TOTAL // n / GIB}
    assert found["cuda:1"].free_bytes == 9 * GIB
    assert "SAE" not in parts_of(found["cuda:1"])
    graphs = [parts_of(found[f"cuda:{place}"])["causes"] for place in range(n)]
    assert sum(graphs) == pytest.approx(7)


def test_weights_on_disk_are_read_one_by_one_unless_a_gradient_keeps_them() -> None:
    half = {"model.embed_tokens": "cpu", "model.layers": "disk", "lm_head": "cpu"}
    without = plan(half, found=estimate(graph=0))
    assert list(without) == ["cpu", "disk"]
    assert (without["disk"].n_bytes, without["disk"].free_bytes) == (12 * GIB, None)
    assert parts_of(without["disk"]) == {"weights": 12}
    assert parts_of(without["cpu"])["read from disk"] == 4
    with_gradient = plan(half)
    assert parts_of(with_gradient["cpu"])["read from disk"] == 12
    assert with_gradient["cpu"].n_bytes - without["cpu"].n_bytes == 8 * GIB
    assert parts_of(with_gradient["cpu"])["causes"] == 7  # what is on the disk is computed here
    assert parts_of(plan({"": "disk"})["cpu"])["read from disk"] == 16
    limited = plan("auto", max_memory={"cpu": 5 * GIB})
    assert (parts_of(limited["cpu"])["weights"], parts_of(limited["disk"])["weights"]) == (5, 11)


def test_names_without_the_first_part_and_names_of_no_module_are_counted() -> None:
    placement = Placement(device_map={"transformer.wte": 1, "transformer.h": 0, "transformer.h.1": 1})
    weights = {"wte.weight": 1 * GIB, "h.0.w": 2 * GIB, "h.1.w": 4 * GIB, "h.10.w": 8 * GIB, "other": 16 * GIB}
    found = {device.name: device for device in memory_by_device(estimate(), placement, weights, TWO, None)}
    assert parts_of(found["cuda:0"])["weights"] == 10
    assert parts_of(found["cuda:1"])["weights"] == 1 + 4 + 16
    assert "SAE" in parts_of(found["cuda:1"])


def test_a_checkpoint_of_another_precision_is_read_on_the_cpu() -> None:
    found = plan({"": 0}, TWO, estimate(model=TOTAL + 9 * GIB))
    assert parts_of(found["cpu"])["loading"] == 9
    assert found["cpu"].n_bytes == (1 + 0.25 + 9) * GIB


@pytest.mark.parametrize("method", ["none", "exact", "attribution", "combined", "circuit"])
def test_the_parts_of_a_real_estimate_are_all_somewhere(method: PatchingMethod) -> None:
    shape: ModelShape = shape_of("toy", Path("/nonexistent"))
    config = ProbeConfig(cause=EffectsConfig(method=method))
    found = estimate_memory(shape, Workload(n_examples=40, n_tokens=16), config)
    weights = {"transformer.wte.weight": 1000, "transformer.h.0.w": 600_000, "transformer.h.1.w": 600_000}
    assert (found.graph > 0) == (method in ("attribution", "combined", "circuit"))
    assert 0 < found.kept + found.batch <= next(part.n_bytes for part in found.parts if part.name == "activations")
    one = memory_by_device(found, Placement(device_map={"": "cpu"}), weights, (), None)
    assert [device.name for device in one] == ["cpu"]
    total = msgspec.structs.asdict(found)
    # On one device the plan is that of a model that is not split, but for the exact size of its weights.
    model = next(part.n_bytes for part in found.parts if part.name == "model")
    assert abs(one[0].n_bytes - (total["peak"] - model + sum(weights.values()))) <= 0.02 * total["peak"]
    two = memory_by_device(found, Placement(device_map={"": 0, "transformer.h.1": 1}), weights, TWO, None)
    causes = sum(part.n_bytes for device in two for part in device.parts if part.name == "causes")
    wanted = next((part.n_bytes for part in found.parts if part.name == "causes"), 0)
    assert abs(causes - wanted) <= 2
