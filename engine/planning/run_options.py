"""The values of a run's options: read, changed, put back, and told apart from their defaults. Needs no torch."""

from pathlib import Path

import msgspec

from engine.catalog.local_models import BUNDLED
from engine.catalog.recommended_config import settle
from engine.config import RECIPES, ProbeConfig, SAEConfig
from engine.planning.option_table import OPTIONS, Option


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a person can decide about a run, its examples aside."""

    config: ProbeConfig = ProbeConfig()
    model: str = BUNDLED
    device: str = "auto"
    trust_remote_code: bool = False


def value_of(options: RunOptions, path: str) -> object:
    """What is chosen there."""
    value: object = options if path in RunOptions.__struct_fields__ else options.config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def with_value(options: RunOptions, path: str, value: object) -> RunOptions:
    """The options with another value there. Raises ConfigError for a value outside what makes sense.

    Another recipe takes along what was at the old recipe's own values: steps, training examples, lambda.
    """
    if path in RunOptions.__struct_fields__:
        return msgspec.structs.replace(options, **{path: value})
    config, (first, _, rest) = options.config, path.partition(".")
    if path == "sae.recipe":
        own, new = RECIPES[config.sae.recipe], RECIPES[value]  # type: ignore[index]  # a choice of the table
        kept = {
            name: getattr(config.sae, name)
            for name in SAEConfig.__struct_fields__
            if name != "recipe" and getattr(config.sae, name) != getattr(own, name)
        }
        sae = msgspec.structs.replace(new, **kept)
        return msgspec.structs.replace(options, config=msgspec.structs.replace(config, sae=sae))
    inner = msgspec.structs.replace(getattr(config, first), **{rest: value}) if rest else value
    return msgspec.structs.replace(options, config=msgspec.structs.replace(config, **{first: inner}))


def defaults(options: RunOptions, *, model: str, models: Path) -> RunOptions:
    """What these options would be had nobody changed anything but the recipe, on the session's model, with nothing
    left open."""
    config = ProbeConfig(sae=RECIPES[options.config.sae.recipe])
    return RunOptions(config=settle(config, options.model, models), model=model)


def changed(options: RunOptions, *, model: str, models: Path) -> tuple[Option, ...]:
    """Those whose value is not the default; the recipe's own values, lambda included, count as defaults."""
    own = defaults(options, model=model, models=models)
    settled = msgspec.structs.replace(options, config=settle(options.config, options.model, models))
    plain = RunOptions(model=model)
    return tuple(
        option
        for option in OPTIONS
        if value_of(settled, option.path) != value_of(plain if option.path == "sae.recipe" else own, option.path)
    )


def reset(options: RunOptions, path: str, *, model: str) -> RunOptions:
    """The options with the default there again."""
    if path == "sae.sparsity":
        return with_value(options, path, None)
    plain = RunOptions(config=ProbeConfig(sae=RECIPES[options.config.sae.recipe]), model=model)
    if path == "sae.recipe":
        plain = RunOptions()
    return with_value(options, path, value_of(plain, path))


def opened(options: RunOptions, models: Path) -> RunOptions:
    """The options with lambda left open where it is what would be decided anyway: a queued run has it filled in."""
    free = with_value(options, "sae.sparsity", None)
    return free if settle(free.config, free.model, models) == settle(options.config, options.model, models) else options
