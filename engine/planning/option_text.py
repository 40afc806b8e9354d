"""Read and write option values as text."""

import math
from pathlib import Path

import msgspec

from engine.catalog.device_maps import read_device_map, read_max_memory
from engine.catalog.local_models import find_model
from engine.config import ProbeConfig
from engine.errors import ConfigError
from engine.planning.option_table import NAMED_MAPS, OPTIONS, Option
from engine.planning.run_options import RunOptions, changed_options, value_of, with_value

_MOST_MAP = 1 << 20
_YES = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}


def set_value(options: RunOptions, option: Option, text: str, models: Path) -> RunOptions:
    """Return the options with the text's value set. Raises ConfigError with the value and what is accepted."""
    return with_value(options, option.path, read_value(option, text, models))


def read_value(option: Option, text: str, models: Path) -> object:
    """Return the value of a text; nothing, or `auto`, is None for an option that may be left open.

    Raises ConfigError with value and range; the config itself refuses what is outside its range.
    """
    text = text.strip()
    if option.unset and text.casefold() in ("", "auto", "own", "default") and text not in option.suggestions:
        return None
    if not text:
        raise ConfigError(f"{option.title} has no value.", hint=_accepted(option))
    match option.kind:
        case "choice":
            if text not in option.choices:
                raise ConfigError(f"{option.title}: there is no {text!r}.", hint=_accepted(option))
            return text
        case "yes":
            if text.casefold() not in _YES:
                raise ConfigError(f"{option.title}: {text!r} is neither yes nor no.", hint=_accepted(option))
            return _YES[text.casefold()]
        case "whole":
            return _whole(option, text)
        case "number":
            return _number(option, text)
        case "seeds":
            return read_seeds(text, option.title)
        case "device_map":
            return read_map(text)
        case "max_memory":
            read_max_memory(text)
            return text
        case "model":
            source = find_model(text, models)
            return str(source.folder) if source.origin == "folder" else source.name
        case _:
            return text


def format_value(option: Option, value: object) -> str:
    """Return the value as text; for one that is left open, what that means."""
    if value is None:
        return option.unset or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        in_order = value == tuple(range(len(value)))
        return str(len(value)) if in_order else ",".join(map(str, value)) + ("," if len(value) == 1 else "")
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def read_map(text: str) -> str:
    """Return a device map as it is stored: auto, balanced, or a file's map as JSON. Raises ConfigError."""
    if text in NAMED_MAPS or text.startswith("{"):
        return text if text in NAMED_MAPS else _as_json(read_device_map(text))
    try:
        if not Path(text).is_file():
            raise ConfigError(
                f"There is no device map {text!r}.", hint="Give auto, balanced, or a JSON file of modules and devices."
            )
        written = Path(text).read_bytes()[: _MOST_MAP + 1]
        if len(written) > _MOST_MAP:
            raise ConfigError(f"The device map {text} is too large.", hint=f"At most {_MOST_MAP >> 20} MB are read.")
        return _as_json(read_device_map(written.decode()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"The device map {text!r} cannot be read: {error}.", hint="Give a JSON file.") from error


def _as_json(found: dict[str, str | int]) -> str:
    return msgspec.json.encode(found).decode()


def read_seeds(text: str, name: str = "--seeds") -> tuple[int, ...]:
    """Parse seeds from a count ("3": 0, 1, 2) or a list ("4,8,15").

    A single number with a comma after it ("7,") is that one seed. Raises ConfigError with the part that is not a
    number.
    """
    hint = "A count (3 means 0,1,2) or a list (4,8,15); '7,' is the one seed 7."
    parts = [part.strip() for part in text.split(",")]
    listed = len(parts) > 1
    numbers: list[int] = []
    for part in parts:
        if not part:
            continue
        if not (part.isascii() and part.lstrip("-").isdecimal()):
            raise ConfigError(f"{name} {text}: {part!r} is not a whole number.", hint=hint)
        numbers.append(int(part))
    if not numbers:
        raise ConfigError(f"{name} {text!r}: there is no number in it.", hint=hint)
    if listed:
        return tuple(numbers)
    if not 1 <= numbers[0] <= 64:
        raise ConfigError(f"{name} {text}: a run takes 1 to 64 seeds.", hint=hint)
    return tuple(range(numbers[0]))


def format_changes(options: RunOptions, *, model: str, models: Path) -> str:
    """List what differs from the defaults, except the recipe: steps 77, seeds 10; empty if nothing does."""
    changes = [
        f"{option.title[:1].lower()}{option.title[1:]} {format_value(option, value_of(options, option.path))}"
        for option in changed_options(options, model=model, models=models)
        if option.path != "sae.recipe"
    ]
    return ", ".join(changes)


def format_differences(before: RunOptions, after: RunOptions) -> str:
    """List the options in which two runs differ: seeds 3 -> 10, steps 20 -> 77; empty if they have the same."""
    changes = [
        f"{option.title[:1].lower()}{option.title[1:]} {format_value(option, old)} -> {format_value(option, new)}"
        for option in OPTIONS
        if (old := value_of(before, option.path)) != (new := value_of(after, option.path))
    ]
    model = [f"model {before.model} -> {after.model}"] if before.model != after.model else []
    return ", ".join([*model, *changes])


def format_config(config: ProbeConfig) -> str:
    """Summarise the config: contrast, 3 seeds, 50 steps, 200 codes."""
    sae, n = config.sae, len(config.seeds)
    return f"{sae.recipe}, {n} {'seed' if n == 1 else 'seeds'}, {sae.steps} steps, {sae.n_codes} codes"


def _whole(option: Option, text: str) -> int:
    digits = text.replace("_", "").replace("\u2009", "")
    if not (digits.isascii() and digits.lstrip("-").isdecimal()) or len(digits) > 12:
        raise ConfigError(f"{option.title}: {text!r} is not a whole number.", hint=_accepted(option))
    return int(digits)


def _number(option: Option, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{option.title}: {text!r} is not a number.", hint=_accepted(option))
    return value


def _accepted(option: Option) -> str:
    """Return what is accepted, as a hint."""
    if option.choices:
        return f"One of {', '.join(option.choices)}."
    if option.kind == "yes":
        return "Write yes or no."
    open_ = f", or nothing: {option.unset}" if option.unset else ""
    return f"{option.range[0].upper()}{option.range[1:]}{open_}."
