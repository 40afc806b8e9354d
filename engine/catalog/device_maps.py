"""Where the parts of a model are put: devices, device maps and memory limits, checked before anything is loaded.

No torch: what there is on the machine is handed in. TransformerBridge 4.3 takes one device, several GPUs, or CPU and
disk; it refuses maps that mix GPUs with CPU or disk, some of them only after loading.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.config import LoadOptions
from engine.errors import ConfigError

_GPU = re.compile(r"(?:cuda:)?(\d{1,3})")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.IGNORECASE)
_UNITS = {"": 1} | {
    f"{unit}{i}".lower(): (1024 if i else 1000) ** n for n, unit in enumerate("KMGT", 1) for i in ("", "i")
}
_MAP_HINT = "A device map is auto, balanced, or a JSON file: module names with cpu, disk, or a GPU's number."
_MEMORY_HINT = "Write 20GiB (of every GPU), 0=20GiB (of one), cpu=60GiB, or several with commas."


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A CUDA device."""

    name: str
    free_bytes: int


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of TransformerBridge that place a model on devices."""

    device: str | None = None
    """One device; None: the others decide."""
    n_devices: int | None = None
    device_map: str | dict[str, str | int] | None = None
    max_memory: dict[str | int, int] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of boot_transformers."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}


def place(options: LoadOptions, gpus: Sequence[Gpu], weights_bytes: Callable[[], int]) -> Placement | None:
    """Return where several devices or a device map put the model; None if the options name a single device.

    `weights_bytes`: of the whole model, asked for only where a map could spill from GPUs. Raises ConfigError for
    options that contradict each other, for devices that are not there, and for what TransformerBridge refuses.
    """
    if options.devices is None and not options.device_map:
        if options.max_memory:
            raise ConfigError(
                f"--max-memory {options.max_memory} limits how a model is split, and nothing splits it.",
                hint="Add --devices N or --device-map auto.",
            )
        return None
    split = f"--devices {options.devices}" if options.devices is not None else "--device-map"
    if options.device != "auto":
        raise ConfigError(
            f"--device {options.device} and {split} contradict each other.", hint="Give only one of them."
        )
    limits = read_max_memory(options.max_memory or "")
    if options.devices is not None:
        if options.device_map:
            raise ConfigError(f"{split} and --device-map contradict each other.", hint="Give only one of them.")
        return _several(options.devices, gpus, limits, weights_bytes)
    if options.device_map in ("auto", "balanced"):
        return _named(options.device_map, gpus, limits, weights_bytes)
    found = read_device_map(options.device_map or "")
    missing = [device for device in found.values() if isinstance(device, int) and device >= len(gpus)]
    if missing:
        raise ConfigError(
            f"The device map names cuda:{missing[0]}: {describe(gpus)}.", hint="Name devices that are there."
        )
    return Placement(device_map=found, max_memory=_memory(limits, len(gpus)) or None)


def describe(gpus: Sequence[Gpu]) -> str:
    """Describe the CUDA devices: this machine has cuda:0 (NVIDIA H200) and the CPU."""
    names = [f"cuda:{place} ({gpu.name})" for place, gpu in enumerate(gpus)]
    return (
        f"this machine has {', '.join(names)} and the CPU" if names else "this machine has no CUDA device, only the CPU"
    )


def read_device_map(text: str) -> dict[str, str | int]:
    """Return a map written as JSON, GPUs as numbers.

    Raises ConfigError for what is no map, and for one that mixes GPUs with CPU or disk.
    """
    try:
        raw = msgspec.json.decode(text, type=dict[str, str | int])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"The device map cannot be read: {error}.", hint=_MAP_HINT) from error
    if not raw:
        raise ConfigError("The device map is empty.", hint=_MAP_HINT)
    found = {module: _device(module, device) for module, device in raw.items()}
    kinds = {isinstance(device, int) for device in found.values()}
    if len(kinds) == 2:
        raise ConfigError(
            "The device map mixes GPUs with CPU or disk, which TransformerBridge refuses.",
            hint="Put every module on GPUs, or every module on cpu or disk.",
        )
    return found


def read_max_memory(text: str) -> dict[str | int, int]:
    """Return the limits in bytes by GPU number, "cpu" and "gpu" (every GPU). Raises ConfigError."""
    found: dict[str | int, int] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, size = part.rpartition("=")
        amount, gpu = _SIZE.fullmatch(size.strip()), _GPU.fullmatch(name.strip())
        key = "gpu" if not equals else int(gpu[1]) if gpu else name.strip().lower()
        if amount is None or not (isinstance(key, int) or key in ("gpu", "cpu")):
            raise ConfigError(f"--max-memory {text}: {part!r} is no limit.", hint=_MEMORY_HINT)
        found[key] = int(float(amount[1]) * _UNITS[(amount[2] or "").lower()])
        if not found[key]:
            raise ConfigError(f"--max-memory {text}: {part!r} leaves nothing.", hint=_MEMORY_HINT)
    return found


def _several(
    n: int, gpus: Sequence[Gpu], limits: Mapping[str | int, int], weights_bytes: Callable[[], int]
) -> Placement:
    if n < 1:
        raise ConfigError(f"--devices {n}: a model needs at least one.", hint="Give the number of GPUs.")
    if n > len(gpus):
        most = f"--devices {len(gpus)}" if len(gpus) > 1 else "--device cuda" if gpus else "--device cpu"
        raise ConfigError(f"--devices {n}: {describe(gpus)}.", hint=f"Use {most}.")
    memory = _room(gpus[:n], limits)
    _refuse_spill(f"{n} GPUs", sum(memory.values()), weights_bytes())
    return Placement(device="cuda:0") if n == 1 else Placement(n_devices=n, max_memory=memory)


def _named(
    name: str, gpus: Sequence[Gpu], limits: Mapping[str | int, int], weights_bytes: Callable[[], int]
) -> Placement:
    if not gpus:
        return Placement(device_map=name, max_memory=_memory(limits, 0) or None)
    memory = _room(gpus, limits)
    _refuse_spill("the GPUs", sum(memory.values()), weights_bytes())
    return Placement(device_map=name, max_memory=memory)


def _room(gpus: Sequence[Gpu], limits: Mapping[str | int, int]) -> dict[str | int, int]:
    """Return the bytes that may be used of each GPU: its limit, else what is free."""
    return {place: limits.get(place, limits.get("gpu", gpu.free_bytes)) for place, gpu in enumerate(gpus)}


def _memory(limits: Mapping[str | int, int], n_gpus: int) -> dict[str | int, int]:
    """Return the limits with "gpu" written out for every GPU."""
    every: dict[str | int, int] = dict.fromkeys(range(n_gpus), limits["gpu"]) if "gpu" in limits else {}
    return {**every, **{key: size for key, size in limits.items() if key != "gpu"}}


def _refuse_spill(where: str, room: int, needed: int) -> None:
    """Raise ConfigError if the rest of the model would go to CPU or disk."""
    if needed > room:
        raise ConfigError(
            f"The weights need {needed / 1e9:.1f} GB and {where} leave {room / 1e9:.1f} GB: the rest would be put on "
            "the CPU, and TransformerBridge refuses a model on both.",
            hint="Use more GPUs, --dtype bfloat16, a larger --max-memory, or --device cpu.",
        )


def _device(module: str, device: str | int) -> str | int:
    if isinstance(device, int):
        if device < 0:
            raise ConfigError(f"The device map puts {module!r} on {device}.", hint=_MAP_HINT)
        return device
    text = device.strip().lower()
    gpu = _GPU.fullmatch(text)
    if gpu is not None:
        return int(gpu[1])
    if text not in ("cpu", "disk"):
        raise ConfigError(f"The device map puts {module!r} on {device!r}.", hint=_MAP_HINT)
    return text
