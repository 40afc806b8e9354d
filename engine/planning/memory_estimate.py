"""Estimate the memory of a run, part by part, and what to lower if there is less. No torch.

The sum of each stage's largest tensors (docs/lab: within a factor of 1.5 of the measured peak on the bundled model and
on SmolLM2).
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from engine.catalog.model_shape import ModelShape
from engine.catalog.precision import BYTES
from engine.config import Precision, ProbeConfig
from engine.sample_size import shuffles_for

_PROGRAM_BYTES = 405_000_000
"""A worker with torch, transformer_lens and what a run imports, without a model.

Measured on 2026-11-30, torch 2.13.0 for the CPU: 393 MB when a model is loaded, 415 MB at the peak of a small run, of
which 10 MB are the run's own (resident memory; libraries that other processes share count in full).
"""
_CUDA_BYTES = 370_000_000
"""Extra bytes if torch is built for CUDA, with or without a device (measured without: torch 2.13.0+cu130)."""
_FLOAT = 4
_TOKENS_AT_ONCE = 1024
_ROWS_AT_ONCE = 8192
_CELLS = 1 << 24
_CHARACTERS = 4.5
"""Characters per token of English prose, about."""
_SPOKEN = {"contrast": 0.15, "published": 0.5}
"""Share of the possible codes that occur, about."""
_SLACK = 0.95
"""Share of free memory that a run may use: other programs need some, too."""
_HEADS_AT_ONCE = 64
_WITH_GRADIENT = ("attribution", "combined", "circuit")
"""Methods of effects that take a gradient."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """The amount of input: number of examples and their length."""

    n_examples: int
    n_tokens: float
    """Mean tokens per prompt."""


class MemoryPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the memory estimate."""

    name: str
    """program | model | activations | SAE | scores | causes"""
    n_bytes: int
    """Its maximum; not all parts are in memory at the same time."""


class MemoryEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """The estimated memory of a run."""

    parts: tuple[MemoryPart, ...]
    peak: int
    """Peak bytes of the worker."""
    cache_bytes: int
    """Bytes of the activation cache on disk."""
    kept: int = 0
    """Of the activations: the heads' outputs, which stay from the capture to the end."""
    batch: int = 0
    """Of the activations: the stream of one batch in the forward pass."""
    graph: int = 0
    """Of the causes: what a gradient keeps at the layers until it is computed; 0 if none is."""
    matrices: int = 0
    """The heads' output matrices, a part of the model that a split one has a second time on its first device."""


def tokens_of(characters: int, n_examples: int) -> float:
    """Estimate the tokens per prompt from the number of characters."""
    return max(1.0, characters / _CHARACTERS / max(n_examples, 1))


@cache
def program_bytes() -> int:
    """Return the bytes of a worker without a model. Finds out which torch is installed without importing it."""
    found = find_spec("torch")
    folders = (found.submodule_search_locations or []) if found is not None else []
    cuda = any((Path(folder) / "lib" / "libtorch_cuda.so").exists() for folder in folders)
    return _PROGRAM_BYTES + (_CUDA_BYTES if cuda else 0)


def estimate_memory(
    shape: ModelShape, amount: Workload, config: ProbeConfig, precision: Precision = "float32"
) -> MemoryEstimate:
    """Estimate the memory of the run's largest tensors, stage by stage, with the model loaded in that precision."""
    number = BYTES[precision]
    on_disk = 0 if shape.stored == precision else shape.file_bytes
    n, width, others = amount.n_examples, shape.d_model, shape.n_outputs(config.nodes)
    nodes = shape.n_nodes + others
    sae, seeds = config.sae, len(config.seeds)
    contrast = sae.recipe == "contrast"
    trained = min(sae.training_examples, n)
    model = shape.parameters * number
    pooled = 2 * n * (shape.n_nodes * shape.d_head + others * width) * _FLOAT
    outputs = n * nodes * width * _FLOAT
    # With MLPs, heads and they are put together once for baselines and scores.
    held = (3 if others else 2) * outputs + pooled
    rows_at_once = max(1.0, _TOKENS_AT_ONCE / amount.n_tokens)
    logits = int(3 * min(rows_at_once, n) * shape.vocabulary * _FLOAT)
    stream = int(40 * min(_TOKENS_AT_ONCE, n * amount.n_tokens) * width * number)
    # What the heads write is computed in float32, from a copy of their matrices and one layer's after the other.
    matrices = 0 if precision == "float32" else 2 * shape.n_nodes * shape.d_head * width * _FLOAT
    reading = logits + stream + pooled + outputs // 2 + matrices
    shown = seeds * trained * nodes
    weights = 8 * seeds * sae.n_codes * width * _FLOAT
    rows = shown * width * _FLOAT * (2 if contrast else 1)
    latents = 3 * shown * sae.n_codes * _FLOAT
    coding = (seeds if not contrast else 1) * min(_ROWS_AT_ONCE, n * nodes) * (2 * sae.n_codes + 3 * width) * _FLOAT
    symbols = int(seeds * nodes * min(sae.n_codes, n) * _SPOKEN[sae.recipe])
    blocks = 4 * min(_CELLS, max(shuffles_for(config.shuffles, nodes), config.bootstraps, 1) * symbols) * _FLOAT
    scores = n * symbols * _FLOAT + blocks + 6 * seeds * n * nodes * _FLOAT
    probes = 4 * min(_HEADS_AT_ONCE, nodes, max(1, _CELLS // max(1, n * n))) * n * n * _FLOAT
    at_layers, elsewhere = _effects_bytes(shape, amount, config, number)
    causes = at_layers + elsewhere
    program = program_bytes()
    base = program + model
    stages = [
        base + on_disk,
        base + held + reading,
        base + held + probes,
        base + held + weights + max(rows + latents, coding),
        base + held + weights + scores,
        base + held + weights + causes,
    ]
    parts = (
        MemoryPart(name="program", n_bytes=program),
        MemoryPart(name="model", n_bytes=model + on_disk),
        MemoryPart(name="activations", n_bytes=held + reading),
        MemoryPart(name="SAE", n_bytes=weights + max(rows + latents, coding)),
        MemoryPart(name="scores", n_bytes=max(scores, probes)),
        MemoryPart(name="causes", n_bytes=causes),
    )
    kept = tuple(part for part in parts if part.n_bytes)
    return MemoryEstimate(
        parts=kept,
        peak=max(stages),
        cache_bytes=n * (shape.n_nodes * shape.d_head + others * width) * _FLOAT,
        kept=held,
        batch=stream,
        graph=at_layers if config.cause.method in _WITH_GRADIENT else 0,
        matrices=shape.n_nodes * shape.d_head * width * number,
    )


def fits(peak: int, held: int, free: int | None) -> bool | None:
    """Return whether the missing bytes are free; None if that is unknown."""
    return None if free is None else max(0, peak - held) <= _SLACK * free


def what_to_lower(
    shape: ModelShape,
    amount: Workload,
    config: ProbeConfig,
    precision: Precision = "float32",
    *,
    held: int,
    free: int,
) -> tuple[str, ...]:
    """Return settings that would make it fit, each by itself, with the largest value that does."""

    def enough(amount: Workload, config: ProbeConfig, precision: Precision = precision) -> bool:
        return fits(estimate_memory(shape, amount, config, precision).peak, held, free) is True

    def with_sae(**changes: int) -> ProbeConfig:
        return msgspec.structs.replace(config, sae=msgspec.structs.replace(config.sae, **changes))

    sae, n = config.sae, amount.n_examples
    knobs: list[tuple[str, int, int, Callable[[int], bool]]] = [
        (
            "the training examples",
            min(sae.training_examples, n),
            2,
            lambda value: enough(amount, with_sae(training_examples=value)),
        ),
        ("the codes", sae.n_codes, 2, lambda value: enough(amount, with_sae(n_codes=value))),
        (
            "the seeds",
            len(config.seeds),
            1,
            lambda value: enough(amount, msgspec.structs.replace(config, seeds=config.seeds[:value])),
        ),
        (
            "the prompts",
            n,
            2,
            lambda value: enough(msgspec.structs.replace(amount, n_examples=value), config),
        ),
    ]
    found = []
    for name, now, least, does in knobs:
        most = _largest(least, now - 1, does)
        if most is not None:
            found.append(f"{name} from {now} to {_round(most)}")
    if precision == "float32" and enough(amount, config, "bfloat16"):
        found.append("the precision to bfloat16")
    if config.cause.method != "none":
        no_cause = msgspec.structs.replace(config.cause, method="none")
        if enough(amount, msgspec.structs.replace(config, cause=no_cause)):
            found.append("the effects to none")
    return tuple(found)


def _effects_bytes(shape: ModelShape, amount: Workload, config: ProbeConfig, number: int) -> tuple[int, int]:
    """Return the bytes of activations kept for one gradient, or for batches of patched passes.

    Those inside the layers, and those read from them: heads' outputs, their replacements and gradients, and logits.
    `number`: bytes of one number of the model. What is read, and attention after its softmax, are in float32.
    """
    if config.cause.method == "none":
        return 0, 0
    prompts = min(config.cause.examples, max(1, amount.n_examples // 2))
    tokens = min(prompts * amount.n_tokens, 4 * _TOKENS_AT_ONCE)
    heads = 3 * shape.n_heads * shape.d_head
    attention = shape.n_heads * amount.n_tokens
    others = 3 * shape.d_model if shape.n_outputs(config.nodes) else 0
    layer = max(0, 34 * shape.d_model - heads) * number + attention * (2 * number + _FLOAT)
    read = shape.n_layers * (heads + others) + 3 * shape.vocabulary
    return int(tokens * shape.n_layers * layer), int(tokens * read * _FLOAT)


def _largest(least: int, most: int, does: Callable[[int], bool]) -> int | None:
    """Return the largest value for which `does` is True, by bisection; None if there is none."""
    if most < least or not does(least):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if does(middle) else (least, middle - 1)
    return least


def _round(value: int) -> int:
    """Round down to a number that is easy to type."""
    for step in (1000, 100, 10):
        if value >= 5 * step:
            return value // step * step
    return value
