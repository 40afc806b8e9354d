"""The values of a run's options: read, set, reset and compared with their defaults. Needs no torch."""

from pathlib import Path

import msgspec

from engine.catalog.local_models import BUNDLED
from engine.catalog.recommended_config import resolve_config
from engine.config import DEFAULTS, RECIPES, LoadOptions, ProbeConfig, SAEConfig
from engine.planning.option_table import OPTIONS, Option


class RunOptions(LoadOptions, frozen=True, kw_only=True):
    """All options of a run except its examples."""

    config: ProbeConfig = DEFAULTS
    model: str = BUNDLED


def value_of(options: RunOptions, path: str) -> object:
    """Return the value at that path."""
    value: object = options if path in RunOptions.__struct_fields__ else options.config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def with_value(options: RunOptions, path: str, value: object) -> RunOptions:
    """Return the options with another value at that path. Raises ConfigError for an invalid value.

    Another recipe also changes the values that were the old recipe's own: steps, training examples, lambda.
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
    """Return these options with everything except the recipe at its default, on the session's model.

    Values left open are resolved.
    """
    config = msgspec.structs.replace(DEFAULTS, sae=RECIPES[options.config.sae.recipe])
    return RunOptions(config=resolve_config(config, options.model, models), model=model)


def changed_options(options: RunOptions, *, model: str, models: Path) -> tuple[Option, ...]:
    """Return the options whose value is not the default; the recipe's own values count as defaults."""
    own = defaults(options, model=model, models=models)
    resolved = msgspec.structs.replace(options, config=resolve_config(options.config, options.model, models))
    plain = RunOptions(model=model)
    return tuple(
        option
        for option in OPTIONS
        if value_of(resolved, option.path) != value_of(plain if option.path == "sae.recipe" else own, option.path)
    )


def reset(options: RunOptions, path: str, *, model: str) -> RunOptions:
    """Return the options with the default at that path."""
    if path == "sae.sparsity":
        return with_value(options, path, None)
    plain = RunOptions(config=msgspec.structs.replace(DEFAULTS, sae=RECIPES[options.config.sae.recipe]), model=model)
    if path == "sae.recipe":
        plain = RunOptions()
    return with_value(options, path, value_of(plain, path))


def with_open_lambda(options: RunOptions, models: Path) -> RunOptions:
    """Return the options with lambda left open if it would resolve to the same value: a queued run has it resolved."""
    free = with_value(options, "sae.sparsity", None)
    same = resolve_config(free.config, free.model, models) == resolve_config(options.config, options.model, models)
    return free if same else options
