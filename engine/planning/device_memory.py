"""Divide a run's estimated memory among the devices that a model is split over. No torch."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from engine.catalog.device_maps import Gpu, Placement
from engine.machine.memory import format_bytes
from engine.planning.memory_estimate import MemoryEstimate, MemoryPart

Device = str | int
"""A GPU's number, cpu or disk."""

_LAYER = re.compile(r"\.\d+\.")
"""In the name of a tensor that belongs to a layer."""
_EMBEDDING = re.compile(r"(^|\.)(wte|\w*embed\w*|\w*embeddings?)\.weight$")
_POSITIONS = re.compile(r"wpe|pos")


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What one device has to hold."""

    name: str
    """cuda:0, cpu or disk."""
    n_bytes: int
    """Its peak."""
    free_bytes: int | None
    """What may be used of it; None: unknown, or it does not matter (disk)."""
    parts: tuple[MemoryPart, ...] = ()
    """weights | program | read from disk | loading | activations | SAE | scores | causes. Each is a maximum; those from
    loading on are partly in memory one after the other, so that their sum may be more than n_bytes."""

    @property
    def words(self) -> str:
        """The parts in one line: weights 4.1 GB, activations 1.0 GB."""
        return ", ".join(f"{part.name} {format_bytes(part.n_bytes)}" for part in self.parts)


def memory_by_device(
    found: MemoryEstimate,
    placement: Placement,
    weights: Mapping[str, int],
    gpus: Sequence[Gpu],
    free_cpu: int | None,
) -> tuple[DeviceMemory, ...]:
    """Return what each device holds at most.

    The first device, which holds the embedding, has the heads' outputs, the SAEs and the scores, and a copy of the
    heads' output matrices of the others. What a gradient keeps is where its layers are; every device with layers works
    on the batch that passes. Weights on disk are read into the memory of the CPU tensor by tensor, and a gradient keeps
    all of them there. Where GPUs hold the model, the machine's own memory has the program and the activations stored
    for the next run.

    `weights`: bytes of each tensor, by name. Balanced splits count as even: layers are not cut, so shares differ by up
    to one layer.
    """
    total = sum(weights.values())
    parts = {part.name: part.n_bytes for part in found.parts}
    limits = placement.max_memory or {}
    layers: dict[Device, int] = {}
    if isinstance(placement.device_map, dict):
        where = _by_map(placement.device_map, weights)
        shares = _sums(where, weights, placement.device_map.values())
        layers = _sums(where, {name: weights[name] for name in weights if _LAYER.search(name)}, ())
        embedding = next(
            (where[name] for name in sorted(weights, key=_embedding_rank) if _EMBEDDING.search(name)), None
        )
        largest_on_disk = max((weights[name] for name, device in where.items() if device == "disk"), default=0)
    else:
        shares = _even(placement, total, gpus)
        embedding = None
        largest_on_disk = max(weights.values(), default=0) if "disk" in shares else 0
    layers = layers or shares
    on_gpus = sorted(device for device in shares if isinstance(device, int))
    first: Device = embedding if isinstance(embedding, int) else on_gpus[0] if on_gpus else "cpu"

    def of_layers(device: Device) -> float:
        # Layers on disk are computed on the CPU.
        own = [device] if device != "cpu" else ["cpu", "disk"]
        return sum(layers.get(each, 0) for each in own) / (sum(layers.values()) or 1)

    def needs(device: Device) -> DeviceMemory:
        name = f"cuda:{device}" if isinstance(device, int) else device
        held, share = {"weights": shares.get(device, 0)}, of_layers(device)
        if device == "disk":
            return DeviceMemory(name=name, n_bytes=held["weights"], free_bytes=None, parts=_parts(held))
        if device == "cpu":
            held["program"] = parts.get("program", 0)
            if "disk" in shares:
                held["read from disk"] = shares["disk"] if found.graph else largest_on_disk
        # A checkpoint in another precision is read as it is stored, then converted.
        passing = {"loading": max(0, parts.get("model", 0) - total)} if device == "cpu" else {}
        if device == first:
            # Their own matrices need no copy.
            copies = int(found.matrices * (1 - share)) if len(shares) > 1 else 0
            held["activations"] = found.kept + copies
            passing |= {
                "activations": max(0, parts.get("activations", 0) - found.kept),
                "SAE": parts.get("SAE", 0),
                "scores": parts.get("scores", 0),
                "causes": parts.get("causes", 0) - found.graph + int(found.graph * share),
            }
        elif share:
            passing |= {"activations": found.batch, "causes": int(found.graph * share)}
        else:
            held["activations"] = found.cache_bytes
        whole = {name: held.get(name, 0) + passing.get(name, 0) for name in [*held, *passing]}
        free = limits.get(device, gpus[device].free_bytes if isinstance(device, int) else free_cpu)
        peak = sum(held.values()) + max(passing.values(), default=0)
        return DeviceMemory(name=name, n_bytes=peak, free_bytes=free, parts=_parts(whole))

    return tuple(needs(device) for device in sorted({*shares, first, "cpu"}, key=_order))


def _parts(sizes: Mapping[str, int]) -> tuple[MemoryPart, ...]:
    return tuple(MemoryPart(name=name, n_bytes=size) for name, size in sizes.items() if size)


def _order(device: Device) -> tuple[bool, str, int]:
    """Return the sort key: GPUs by number, then cpu, then disk."""
    return (False, "", device) if isinstance(device, int) else (True, device, 0)


def _even(placement: Placement, total: int, gpus: Sequence[Gpu]) -> dict[Device, int]:
    """Return the shares of a split that TransformerBridge chooses."""
    if gpus:
        n = placement.n_devices or len(gpus)
        return dict.fromkeys(range(n), total // n)
    on_cpu = min(total, (placement.max_memory or {}).get("cpu", total))
    return {"cpu": on_cpu, "disk": total - on_cpu} if on_cpu < total else {"cpu": total}


def _embedding_rank(name: str) -> tuple[bool, bool, int]:
    """Return the sort key that puts the embedding of tokens before those of positions and of layers."""
    return bool(_LAYER.search(name)), bool(_POSITIONS.search(name)), len(name)


def _sums(where: Mapping[str, Device], sizes: Mapping[str, int], devices: Iterable[Device]) -> dict[Device, int]:
    """Return the bytes on each device; those named in `devices` are listed with 0, too."""
    found: dict[Device, int] = dict.fromkeys(devices, 0)
    for name, size in sizes.items():
        found[where[name]] = found.get(where[name], 0) + size
    return found


def _by_map(device_map: Mapping[str, Device], weights: Mapping[str, int]) -> dict[str, Device]:
    """Return the device of each tensor: that of the longest module name it begins with.

    Files of a bare model leave out the first part of its names: `h.0.attn` for `transformer.h`. A tensor of no module
    is counted where the first module is.
    """
    heads = {module.partition(".")[0] for module in device_map if "." in module}
    found: dict[str, Device] = {}
    for name in weights:
        names = [name, *(f"{head}.{name}" for head in sorted(heads))]
        modules = [
            module
            for module in device_map
            if not module or any(each == module or each.startswith(f"{module}.") for each in names)
        ]
        found[name] = device_map[max(modules, key=len)] if modules else next(iter(device_map.values()))
    return found
