"""The content key of a unit: equal keys mean equal numbers, so that nothing is computed twice."""

import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version

import msgspec

from engine.config import ProbeConfig
from engine.planning.run_options import RunOptions
from engine.sweeps.plan import ExampleSource

_DECISIVE = ("headcode", "torch", "transformer-lens", "transformers")


class DecisiveVersions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of the programs that decide the numbers of a run."""

    headcode: str
    torch: str
    transformer_lens: str
    transformers: str


class UnitContent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the numbers of a unit.

    Not the device: it changes the rounding, which `headcode verify` explains, not the question that was asked.
    """

    examples: str
    """The content hash of a set; empty for a task."""
    task: str | None
    pairs: int
    usable: bool
    draw: int
    model: str
    """Its identity (engine.catalog.local_models.model_identity); the name, where the files are not on this machine."""
    config: ProbeConfig
    """With lambda resolved (engine.catalog.recommended_config)."""
    dtype: str
    """As asked: auto is float32 on a CPU, and on a CUDA GPU what the checkpoint is stored in."""
    versions: DecisiveVersions


@functools.cache
def installed_versions() -> DecisiveVersions:
    """Return the versions that are installed here, without importing torch."""
    found = []
    for name in _DECISIVE:
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append("")
    return DecisiveVersions(**dict(zip(DecisiveVersions.__struct_fields__, found, strict=True)))


def content_of(
    source: ExampleSource, options: RunOptions, *, draw: int, identity: str, versions: DecisiveVersions
) -> UnitContent:
    """Return what decides the numbers of a unit with these options, whose lambda is resolved."""
    task = source.task if not source.content_hash else None
    return UnitContent(
        examples=source.content_hash,
        task=task,
        pairs=source.pairs if task else 0,
        usable=source.usable and task is not None,
        draw=draw if task else 0,
        model=identity,
        config=options.config,
        dtype=options.dtype,
        versions=versions,
    )


def content_key(content: UnitContent) -> str:
    """Return the key: 32 hexadecimal digits of a sha256."""
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:32]
