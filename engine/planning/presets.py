"""Presets of options: quick, published, thorough (measured in docs/lab)."""

from typing import Literal, get_args

import msgspec

from engine.config import PUBLISHED, EffectsConfig, ProbeConfig, SAEConfig
from engine.errors import ConfigError
from engine.planning.run_options import RunOptions

PresetName = Literal["quick", "published", "thorough"]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of options."""

    name: PresetName
    about: str
    """What it is for."""
    config: ProbeConfig


PRESETS: tuple[Preset, ...] = (
    Preset(
        name="quick",
        about="a first look: one seed, half the steps, few shuffles",
        config=ProbeConfig(nodes="all", sae=SAEConfig(steps=10), seeds=(0,), shuffles=200, bootstraps=20),
    ),
    Preset(
        name="published",
        about="the paper's method: raw activations, 500 steps, 10 training examples, lambda .02, heads only",
        config=ProbeConfig(nodes="heads", sae=msgspec.structs.replace(PUBLISHED, sparsity=0.02)),
    ),
    Preset(
        name="thorough",
        about="for results to report: ten seeds, more shuffles and bootstraps, effects of the best heads",
        config=ProbeConfig(
            nodes="all", seeds=tuple(range(10)), shuffles=10_000, bootstraps=500, cause=EffectsConfig(method="combined")
        ),
    ),
)


def find_preset(name: str) -> Preset:
    """Return the preset of that name. Raises ConfigError with the list."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise ConfigError(f"There is no preset {name!r}.", hint="Presets: " + ", ".join(get_args(PresetName)) + ".")


def with_preset(options: RunOptions, name: str) -> RunOptions:
    """Return the options with a preset applied. Raises ConfigError.

    Options of examples and machine stay: position, model, device; so do the circuit sizes.
    """
    own, now = find_preset(name).config, options.config
    config = msgspec.structs.replace(
        own, position=now.position, grade=now.grade, circuit_size=now.circuit_size, theta=now.theta
    )
    return msgspec.structs.replace(options, config=config)
