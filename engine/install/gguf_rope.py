"""Translate a GGUF file's rotary positions into transformers' rope parameters."""

import math
from collections.abc import Sequence
from typing import Any

from engine.errors import ModelError
from engine.install.gguf_file import GgufFile

FACTORS, LONG, SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
"""Tensors that frequencies are divided by: Llama 3, and the two sets of Phi 3."""
SCALING = "rope.scaling."
_CLOSE = 1e-5
_LLAMA3 = (1.0, 4.0)
"""Low and high frequency factor of all Llama 3 models."""


def scaling_of(file: GgufFile, context: int) -> dict[str, Any] | None:
    """Return the rope parameters of the file, besides base and width; None if it has none.

    Raises ModelError for a scaling that transformers cannot express.
    """
    named = file.key(f"{SCALING}type", "none")
    factor = file.key(f"{SCALING}factor")
    trained = file.key(f"{SCALING}original_context_length")
    if file.has(FACTORS):
        return _from_factors(file.values(FACTORS), int(trained or context))
    if file.has(LONG) or file.has(SHORT):
        return _by_length(file, trained, context)
    if named == "linear":
        return {"rope_type": "linear", "factor": float(factor)} if factor and factor != 1 else None
    if named == "yarn":
        return _yarn(file, factor, trained)
    if named == "none" or not named:
        return None
    raise ModelError(
        f"{file.path.name} scales positions by {named!r}, which is not carried over.",
        hint="Get the model as a Hugging Face folder with safetensors.",
    )


def _yarn(file: GgufFile, factor: Any, trained: Any) -> dict[str, Any] | None:
    if not factor or float(factor) == 1.0:
        return None
    found: dict[str, Any] = {"rope_type": "yarn", "factor": float(factor)}
    if trained:
        found["original_max_position_embeddings"] = int(trained)
    for key, name in (("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")):
        value = file.key(SCALING + key)
        if value is not None:
            found[name] = float(value)
    for key in ("yarn_ext_factor", "yarn_attn_factor", "attn_factor", "yarn_log_multiplier", "alpha"):
        value = file.key(SCALING + key)
        if value is not None and float(value) not in (0.0, 1.0):
            raise ModelError(
                f"{file.path.name} sets {SCALING}{key} = {value}, which is not carried over.",
                hint="Get the model as a Hugging Face folder with safetensors.",
            )
    return found


def _by_length(file: GgufFile, trained: Any, context: int) -> dict[str, Any]:
    """Phi 3: one set of factors for prompts within the trained length, another beyond."""
    if not (file.has(LONG) and file.has(SHORT) and trained):
        raise ModelError(
            f"{file.path.name} has position factors, but not everything that belongs to them: {SHORT}, {LONG} and "
            f"{file.architecture}.{SCALING}original_context_length.",
            hint="Get another GGUF file of this model, or its Hugging Face folder.",
        )
    found: dict[str, Any] = {
        "rope_type": "longrope",
        "short_factor": _short(file.values(SHORT)),
        "long_factor": _short(file.values(LONG)),
        "original_max_position_embeddings": int(trained),
    }
    scale = file.key(f"{SCALING}attn_factor")
    # Without the key llama.cpp does not scale attention.
    found["attention_factor"] = 1.0 if scale is None else float(f"{scale:.8g}")
    if context > int(trained):
        found["factor"] = context / int(trained)
    return found


def _from_factors(factors: Sequence[float], context: int) -> dict[str, Any] | None:
    """Return the factors with their context; None if they are all 1."""
    if all(abs(factor - 1) < _CLOSE for factor in factors):
        return None
    return {"factors": tuple(factors), "context": context}


def rope_parameters_of(scaling: dict[str, Any], base: float) -> dict[str, Any]:
    """Return rope parameters for a file's factors, with frequencies of that base.

    rope_type llama3 if its formula gives these factors, else longrope with the same set for every length.
    """
    factors, context = scaling["factors"], scaling["context"]
    frequencies = [base ** (-place / len(factors)) for place in range(len(factors))]
    scale = _digits(max(factors))
    tried = [(*_LLAMA3, 8192), (*_LLAMA3, context), *((*_LLAMA3, 1 << bits) for bits in range(5, 21))]
    solved = _solve(factors, frequencies, scale)
    for low, high, trained in [*tried, *([solved] if solved else [])]:
        again = llama3_factors(frequencies, scale, low, high, trained)
        if all(abs(mine - theirs) <= _CLOSE * theirs for mine, theirs in zip(again, factors, strict=True)):
            return {
                "rope_type": "llama3",
                "factor": scale,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": trained,
            }
    return {
        "rope_type": "longrope",
        "short_factor": _short(factors),
        "long_factor": _short(factors),
        "attention_factor": 1.0,
        "factor": 1.0,
        "original_max_position_embeddings": context,
    }


def llama3_factors(
    frequencies: Sequence[float], factor: float, low: float, high: float, trained: int
) -> tuple[float, ...]:
    """Return Llama 3's divisor of each frequency: 1 for short waves, `factor` for long ones, interpolated between."""
    found = []
    for frequency in frequencies:
        wave = 2 * math.pi / frequency
        if wave < trained / high:
            found.append(1.0)
        elif wave > trained / low:
            found.append(factor)
        else:
            smooth = (trained / wave - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return tuple(found)


def _solve(factors: Sequence[float], frequencies: Sequence[float], scale: float) -> tuple[float, float, int] | None:
    """Solve low, high and trained length from two interpolated factors; only their ratios matter, so low is 1."""
    inside = [
        (frequency / (2 * math.pi), (1 / factor - 1 / scale) / (1 - 1 / scale))
        for factor, frequency in zip(factors, frequencies, strict=True)
        if 1 + 1e-3 < factor < scale * (1 - 1e-3)
    ]
    if len(inside) < 2:
        return None
    (first, one), (last, other) = inside[0], inside[-1]
    slope = (one - other) / (first - last)
    offset = slope * first - one
    if slope <= 0 or offset <= 0:
        return None
    high = 1 + 1 / offset
    return (1.0, _digits(high), round(slope * (high - 1)))


def _digits(value: float) -> float:
    """Return the value without the noise of single precision."""
    return float(f"{value:.6g}")


def _short(values: Sequence[float]) -> list[float]:
    """Return the values as short decimals that are exact in single precision."""
    return [float(f"{value:.9g}") for value in values]
