"""Models that a new session can use: those of this machine and those that can be fetched, with what they need."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.catalog.local_models import local_models, read_summary
from engine.catalog.packaged_models import PACKAGED_MODELS
from engine.errors import ModelError
from engine.machine.memory import format_bytes
from engine.planning.preflight import Preflight

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


class ModelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the list."""

    name: str
    here: bool
    """False: it is fetched when it is chosen."""
    shape: str = ""
    """Layers x heads; empty if that is known only after it is fetched."""
    n_bytes: int = 0
    """Of the weights on the disk, or of the download; 0 if unknown."""
    source: str = ""
    terms: str = ""
    """Terms of the weights that are shown before it is fetched."""
    trouble: str = ""
    """Why its folder cannot be read."""

    @property
    def size(self) -> str:
        """Format the size of the weights or of the download."""
        return format_bytes(self.n_bytes) if self.n_bytes else "?"


def model_choices(models: Path) -> tuple[ModelChoice, ...]:
    """Return the models of this machine, then those of the package index that are not here. Reads their folders."""
    found: list[ModelChoice] = []
    for source in local_models(models):
        try:
            about = read_summary(source)
        except ModelError as error:
            found.append(ModelChoice(name=source.name, here=True, source=source.origin, trouble=error.message))
            continue
        found.append(
            ModelChoice(
                name=about.name,
                here=True,
                shape=f"{about.n_layers} x {about.n_heads}",
                n_bytes=about.weights_bytes,
                source="fetched" if about.origin == "cache" else about.origin,
            )
        )
    known = {choice.name for choice in found}
    found += [
        ModelChoice(
            name=model.name,
            here=False,
            n_bytes=model.download_bytes,
            source=f"{model.title}, Python package index",
            terms=model.terms,
        )
        for model in PACKAGED_MODELS.values()
        if model.name not in known
    ]
    return tuple(found)


def narrow_choices(choices: Sequence[ModelChoice], typed: str) -> tuple[ModelChoice, ...]:
    """Return the models that contain every typed word, those whose name begins so first; a hub name is one more."""
    words = typed.casefold().split()
    fitting = [choice for choice in choices if all(word in _text(choice) for word in words)]
    if words:
        fitting.sort(key=lambda choice: not choice.name.casefold().startswith(words[0]))
    wanted = typed.strip()
    if _HUB.fullmatch(wanted) and all(choice.name != wanted for choice in choices):
        fitting.append(ModelChoice(name=wanted, here=False, source="Hugging Face hub"))
    return tuple(fitting)


def format_fit(found: Preflight | None) -> tuple[str, str]:
    """Format whether a run of ordinary size fits into memory, and the ink of these words; empty while unknown."""
    if found is None or found.peak_bytes is None:
        return "", "dim"
    need = format_bytes(found.peak_bytes)
    if found.fits is None or found.free_bytes is None:
        return f"a run needs {need}", "dim"
    free = f"{need} of {format_bytes(found.free_bytes)} free{found.where}"
    return (f"fits: {free}", "good") if found.fits else (f"too large: {free}", "bad")


def _text(choice: ModelChoice) -> str:
    return f"{choice.name} {choice.source} {'' if choice.here else 'fetch download'}".casefold()
