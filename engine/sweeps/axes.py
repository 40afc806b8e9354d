"""The axes of a sweep: what examples, models and options are varied over, made from the table of options."""

from collections.abc import Sequence

from engine.errors import ConfigError
from engine.planning.option_table import OPTIONS, Option
from engine.sweeps.values import expand_range, read_values, refuse_repeats

EXAMPLES = ("task", "examples")
"""Sources of examples: ready-made tasks, and files."""
FIXED = ("name", "pairs", "usable")
"""What a specification gives once, for all units."""
_OWN = (*EXAMPLES, "model", "checkpoint", "draws")
_ONE_VALUE = ("device_map", "max_memory")
"""Kinds of options whose value may itself have commas: one value on a command line, a list in a file."""
_NUMBERS = {"whole": True, "seeds": True, "number": False}
"""Kinds of options that take ranges, and whether only of whole numbers."""


def option_word(option: Option) -> str:
    """Return the word of an option: its flag without dashes."""
    return option.flag.partition("/")[0].removeprefix("--")


_OPTIONS = {option_word(option): option for option in OPTIONS if option.path != "model"}
WORDS = (*_OWN, *_OPTIONS)
"""The word of every axis."""


def axis_option(word: str) -> Option | None:
    """Return the option that the axis varies; None for examples, models, checkpoints and draws."""
    return _OPTIONS.get(word)


def read_axis(word: str, text: str, *, shown: str) -> tuple[str, ...]:
    """Return the values of an axis written as one text: a list, a range, or both. Raises ConfigError.

    `shown`: how errors name the axis. One number of seeds or draws is a count, as `--seeds 3` of a run; lists and
    ranges are single seeds, one unit each.
    """
    text = text.strip()
    if not text:
        raise ConfigError(f"{shown} has no value.", hint="Leave it out, or give a list (a,b) or a range (0..9).")
    option = axis_option(word)
    if word == "draws":
        return _draws(text, shown)
    if word == "checkpoint":
        return read_values(text, axis=shown, whole=True, numbers=False)
    if option is None:
        return read_values(text, axis=shown, whole=False, numbers=False)
    if option.kind in _ONE_VALUE:
        return (text,)
    if option.kind == "seeds":
        if text.isascii() and text.isdecimal():
            return (text,)
        return tuple(f"{value}," for value in read_values(text, axis=shown, whole=True, numbers=True))
    return read_values(text, axis=shown, whole=_NUMBERS.get(option.kind, False), numbers=option.kind in _NUMBERS)


def axis_values(word: str, values: Sequence[str], *, shown: str) -> tuple[str, ...]:
    """Return the values of an axis written as a list: each is one value, and only ranges are expanded."""
    option = axis_option(word)
    found: list[str] = []
    for value in values:
        text = value.strip()
        if not text:
            raise ConfigError(f"{shown} has an empty value.", hint="Leave it out.")
        if word == "draws" or (option is not None and option.kind in _NUMBERS and ".." in text):
            parts = (
                expand_range(text, axis=shown, whole=True if option is None else _NUMBERS[option.kind])
                if (".." in text)
                else (text,)
            )
        else:
            parts = (text,)
        seeds = option is not None and option.kind == "seeds"
        found += [f"{part}," if seeds and part.isdecimal() else part for part in parts]
    if word == "draws":
        return _whole(found, shown)
    return refuse_repeats(found, axis=shown)


def _draws(text: str, shown: str) -> tuple[str, ...]:
    if text.isascii() and text.isdecimal():
        if int(text) < 1:
            raise ConfigError(f"{shown} {text}: at least one draw is needed.", hint="Leave it out for one.")
        return expand_range(f"0..{int(text) - 1}", axis=shown, whole=True)
    return _whole(read_values(text, axis=shown, whole=True, numbers=True), shown)


def _whole(values: Sequence[str], shown: str) -> tuple[str, ...]:
    for value in values:
        if not (value.isascii() and value.isdecimal() and len(value) <= 9):
            raise ConfigError(
                f"{shown}: {value!r} is not a draw.", hint="A count (10), a range (0..9) or a list (0,3,7) of seeds."
            )
    return refuse_repeats(values, axis=shown)
