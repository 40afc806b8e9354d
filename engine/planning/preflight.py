"""What a run will need before it starts: memory, time, and what to lower. No torch."""

from typing import Literal

import msgspec

from engine.config import Precision
from engine.machine.memory import format_bytes
from engine.planning.device_memory import DeviceMemory
from engine.planning.memory_estimate import MemoryPart, fits
from engine.planning.time_estimate import Duration, format_seconds


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """What the next run will need, and whether it is available."""

    model: str
    n_examples: int
    parts: tuple[MemoryPart, ...]
    peak_bytes: int | None
    """None: nothing is known of the model."""
    held_bytes: int
    """Bytes that the warm worker already has."""
    free_bytes: int | None
    """None: the system does not report it."""
    where: str
    """Whose memory: this machine's, its container's, the GPU's."""
    fits: bool | None
    lower: tuple[str, ...]
    """If it does not fit: each of these by itself would make it fit."""
    cache_bytes: int
    duration: Duration | None
    trouble: str = ""
    """Why less is known than should be."""
    missing_pairs: int | None = None
    """Pairs (or examples of each side) missing for a single head to be significant; None: unknown."""
    n_heads: int | None = None
    """Heads of the model in all layers, or all nodes that the run would look at."""
    nodes: Literal["all"] | msgspec.UnsetType = msgspec.UNSET
    """all: the run would look at MLPs and the embedding, too."""
    dtype: Precision = "float32"
    """The precision the model would be loaded in."""
    devices: tuple[DeviceMemory, ...] = ()
    """What each device has to hold, if the model is split; then `fits` is about all of them."""

    @property
    def words(self) -> str:
        """The preflight as one line."""
        return ", ".join(part for part in (self.memory_words, self.time_words, self.missing_words) if part)

    @property
    def missing_words(self) -> str:
        """How many pairs the set lacks; empty if it has enough or that is unknown."""
        if not self.missing_pairs:
            return ""
        node = "node" if self.nodes == "all" else "head"
        lacks = "1 pair" if self.missing_pairs == 1 else f"{self.missing_pairs} pairs"
        return f"lacks {lacks} for one {node} of {self.n_heads} to reach significance"

    @property
    def memory_words(self) -> str:
        if self.peak_bytes is None:
            return self.trouble
        if self.devices:
            return self._words_by_device()
        need = max(0, self.peak_bytes - self.held_bytes)
        held = f" ({format_bytes(self.held_bytes)} of it already held)" if self.held_bytes else ""
        precision = "" if self.dtype == "float32" else f" in {self.dtype}"
        total = f"needs {format_bytes(self.peak_bytes)}{precision}{held}"
        if self.free_bytes is None or self.fits is None:
            return f"{total}; free memory is unknown"
        if self.fits:
            return f"fits: {total}, {format_bytes(self.free_bytes)} free{self.where}"
        lower = f"; lower {' or '.join(self.lower)}"
        if not self.lower:
            itself = sum(part.n_bytes for part in self.parts if part.name in ("program", "model"))
            alone = self.parts and fits(itself, self.held_bytes, self.free_bytes)
            lower = "; lower codes, seeds and prompts together" if alone else "; choose a smaller model"
        free = f"{format_bytes(self.free_bytes)} free{self.where}"
        return f"does not fit: {format_bytes(need)} more are needed, {free}{lower}"

    def _words_by_device(self) -> str:
        needs = [
            f"{device.name} needs {format_bytes(device.n_bytes)}"
            + ("" if device.free_bytes is None else f" of {format_bytes(device.free_bytes)}")
            for device in self.devices
        ]
        verdict = {True: "fits: ", False: "does not fit: ", None: ""}[self.fits]
        return f"{verdict}{', '.join(needs)}{'' if self.dtype == 'float32' else f', in {self.dtype}'}"

    @property
    def time_words(self) -> str:
        if self.duration is None:
            return ""
        about = format_seconds(self.duration.seconds)
        span = ""
        if self.duration.high > 1.3 * self.duration.low:
            span = f" ({format_seconds(self.duration.low)} to {format_seconds(self.duration.high)})"
        return f"about {about}{span}: {self.duration.basis}"
