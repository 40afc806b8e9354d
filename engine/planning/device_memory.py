"""Divide a run's estimated memory among the devices that a model is split over. No torch."""

from collections.abc import Mapping, Sequence

import msgspec

from engine.catalog.device_maps import Gpu, Placement
from engine.planning.memory_estimate import MemoryEstimate


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What one device has to hold."""

    name: str
    """cuda:0, cpu or disk."""
    n_bytes: int
    free_bytes: int | None
    """What may be used of it; None: unknown, or it does not matter (disk)."""


def memory_by_device(
    found: MemoryEstimate,
    placement: Placement,
    weights: Mapping[str, int],
    gpus: Sequence[Gpu],
    free_cpu: int | None,
) -> tuple[DeviceMemory, ...]:
    """Return the bytes on each device: its share of the weights, and on the first one everything else.

    `weights`: bytes of each tensor, by name. Balanced splits count as even: layers are not cut, so shares differ by up
    to one layer.
    """
    parts = {part.name: part.n_bytes for part in found.parts}
    total = sum(weights.values())
    rest = max(0, found.peak - total)
    if isinstance(placement.device_map, dict):
        shares = _by_map(placement.device_map, weights)
    elif gpus:
        n = placement.n_devices or len(gpus)
        shares = dict.fromkeys(range(n), total // n)
    else:
        shares = {"cpu": total}
    on_gpus = [device for device in shares if isinstance(device, int)]
    first: str | int = min(on_gpus) if on_gpus else "cpu"
    # The program itself and the store of captured activations stay in the memory of the machine.
    rest -= parts.get("program", 0) if on_gpus else 0
    limits = placement.max_memory or {}
    return tuple(
        DeviceMemory(
            name=f"cuda:{device}" if isinstance(device, int) else device,
            n_bytes=shares.get(device, 0) + (max(0, rest) if device == first else 0),
            free_bytes=limits.get(device, gpus[device].free_bytes if isinstance(device, int) else free_cpu)
            if device != "disk"
            else None,
        )
        for device in sorted({*shares, first}, key=str)
    )


def _by_map(device_map: Mapping[str, str | int], weights: Mapping[str, int]) -> dict[str | int, int]:
    """Return the bytes that the map puts on each device; a tensor belongs to the longest module name it begins with."""
    shares: dict[str | int, int] = dict.fromkeys(device_map.values(), 0)
    for name, n_bytes in weights.items():
        modules = [module for module in device_map if not module or name == module or name.startswith(f"{module}.")]
        if modules:
            shares[device_map[max(modules, key=len)]] += n_bytes
    return shares
