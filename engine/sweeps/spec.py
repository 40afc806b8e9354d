"""A sweep as people write it: a TOML file or words of a command line, read into the values of every axis."""

import difflib
import tomllib
from collections.abc import Mapping

import msgspec

from engine.errors import ConfigError
from engine.planning.option_table import OPTIONS, Option
from engine.sweeps.axes import EXAMPLES, FIXED, WORDS, axis_option, axis_values, read_axis

MAX_BYTES = 1 << 20
"""A longer specification is a file given by mistake."""
_SHOWN = 12

Scalar = str | int | float | bool


class SweepSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The axes of a sweep with their values as text, and what is the same in every unit."""

    name: str | None = None
    axes: dict[str, tuple[str, ...]] = {}
    """By the axis' word (`task`, `model`, `lambda`); a word that was not given is not there."""
    pairs: int = 0
    """Of tasks; 0: as many as one head needs to be significant."""
    usable: bool = False

    def merged(self, over: "SweepSpec") -> "SweepSpec":
        """Return this specification with everything that `over` gives in place of its own."""
        return SweepSpec(
            name=over.name if over.name is not None else self.name,
            axes={**self.axes, **over.axes},
            pairs=over.pairs or self.pairs,
            usable=over.usable or self.usable,
        )


def spec_from_words(
    given: Mapping[str, str], *, name: str | None = None, pairs: int = 0, usable: bool = False
) -> SweepSpec:
    """Return the specification of a command line: the text of every axis that was given, by its word.

    Raises ConfigError with the flag and the value.
    """
    axes = {word: read_axis(word, text, shown=f"--{word}") for word, text in given.items()}
    _check_pairs(pairs, "--pairs")
    return SweepSpec(name=name, axes=axes, pairs=pairs, usable=usable)


def spec_from_toml(text: str, *, source: str = "SPEC.toml") -> SweepSpec:
    """Return the specification of a TOML file: axes at its top level, named like flags without dashes.

    A list is an axis; a text is read like the command line's. Raises ConfigError with the file, the key and the value.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"{source} has {len(text)} characters, too many for a sweep.", hint="Name files of examples by path."
        )
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{source} is not TOML: {error}.", hint='One axis a line: task = ["ioi"], lambda = [0.25, 0.5].'
        ) from error
    axes: dict[str, tuple[str, ...]] = {}
    name: str | None = None
    pairs, usable = 0, False
    for key, value in found.items():
        word = key.replace("_", "-")
        match word:
            case "name":
                if not isinstance(value, str) or not value.strip():
                    raise ConfigError(f"{source}: name is {value!r}, not a text.", hint='name = "lambda and seeds"')
                name = value.strip()
            case "pairs":
                if not isinstance(value, int) or isinstance(value, bool):
                    raise ConfigError(f"{source}: pairs is {value!r}, not a whole number.", hint="pairs = 10")
                pairs = value
                _check_pairs(pairs, f"{source}: pairs")
            case "usable":
                if not isinstance(value, bool):
                    raise ConfigError(f"{source}: usable is {value!r}.", hint="usable = true")
                usable = value
            case _ if word in WORDS:
                axes[word] = _toml_values(word, value, source)
            case _:
                raise ConfigError(f"{source}: there is no axis {key!r}.", hint=_like(word))
    return SweepSpec(name=name, axes=axes, pairs=pairs, usable=usable)


def _toml_values(word: str, value: object, source: str) -> tuple[str, ...]:
    shown = f"{source}: {word}"
    if isinstance(value, list):
        if not value:
            raise ConfigError(f"{shown} is an empty list.", hint="Leave the line out, or give a value.")
        return axis_values(word, [_as_text(each, shown) for each in value], shown=shown)
    return read_axis(word, _as_text(value, shown), shown=shown)


def _as_text(value: object, shown: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | str):
        return str(value)
    raise ConfigError(f"{shown}: {str(value)[:60]} is no value.", hint="Use numbers, texts or lists of them.")


def _check_pairs(pairs: int, shown: str) -> None:
    if pairs < 0:
        raise ConfigError(f"{shown} {pairs} is less than 1.", hint="Leave it out for as many as a run needs.")


def _like(word: str) -> str:
    close = difflib.get_close_matches(word, [*WORDS, *FIXED], n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}Axes: {', '.join([*EXAMPLES, *WORDS][:_SHOWN])}, … (headcode sweep --help lists all)."


def options_given(spec: SweepSpec) -> tuple[tuple[Option, tuple[str, ...]], ...]:
    """Return the options of a run that the specification gives, with their values, in the order of the table."""
    found = {option.path: (option, values) for word, values in spec.axes.items() if (option := axis_option(word))}
    return tuple(found[option.path] for option in OPTIONS if option.path in found)
