"""Read the values of an axis: lists and ranges as text, each error with the value and the way out."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from engine.errors import ConfigError

MAX_VALUES = 100_000
"""Values of one axis; a longer range is a typing error."""


def split_list(text: str, *, axis: str) -> tuple[str, ...]:
    """Return the parts of `a,b,c` without blanks; each stays text. Raises ConfigError for an empty or repeated one."""
    parts = tuple(part.strip() for part in text.split(","))
    if len(parts) > 1 and not parts[-1]:
        parts = parts[:-1]  # "7," is a list of one
    if any(not part for part in parts):
        raise ConfigError(
            f"{axis} {text!r} has an empty value.", hint="Separate values by one comma: a,b,c; ranges are 0..9."
        )
    return refuse_repeats(parts, axis=axis)


def refuse_repeats(parts: Sequence[str], *, axis: str) -> tuple[str, ...]:
    """Return the values. Raises ConfigError for one that is given twice."""
    seen: set[str] = set()
    for part in parts:
        if part in seen:
            raise ConfigError(f"{axis} gives {part!r} twice.", hint="Give every value once.")
        seen.add(part)
    return tuple(parts)


def is_range(text: str) -> bool:
    """Return whether the text has the form of a range: A..B or A..B:STEP, with numbers at both ends."""
    first, dots, rest = text.partition("..")
    return bool(dots) and _is_number(first) and _is_number(rest.partition(":")[0])


def expand_range(text: str, *, axis: str, whole: bool) -> tuple[str, ...]:
    """Return the values of A..B or A..B:STEP, both ends included if the step meets them.

    `whole`: only whole numbers. Fractions are exact (0..1:.1 has eleven values). Raises ConfigError.
    """
    hint = "A range is FIRST..LAST or FIRST..LAST:STEP, for example 0..9, 0..143000:1000" + (
        "." if whole else " or 0..1:.25."
    )
    first_text, _, rest = text.partition("..")
    last_text, colon, step_text = rest.partition(":")
    numbers = []
    for part in (first_text, last_text, *([step_text] if colon else ["1"])):
        if not _is_number(part):
            raise ConfigError(f"{axis} {text}: {part.strip()!r} is not a number.", hint=hint)
        number = Decimal(part.strip())
        if whole and number != number.to_integral_value():
            raise ConfigError(f"{axis} {text}: {part.strip()!r} is not a whole number.", hint=hint)
        numbers.append(number)
    first, last, step = numbers
    if step <= 0:
        raise ConfigError(f"{axis} {text}: the step {step_text.strip()!r} is not above 0.", hint=hint)
    if last < first:
        raise ConfigError(f"{axis} {text}: the last value is below the first.", hint=f"Write {last}..{first}.")
    count = (last - first) // step + 1
    if count > MAX_VALUES:
        raise ConfigError(
            f"{axis} {text} has {count} values; {MAX_VALUES} are the maximum.", hint="Give a larger step after a colon."
        )
    return tuple(plain_number(first + step * place) for place in range(int(count)))


def read_values(text: str, *, axis: str, whole: bool, numbers: bool) -> tuple[str, ...]:
    """Return the values of a list, with ranges expanded if the axis takes `numbers`. Raises ConfigError.

    `whole`: only whole numbers.
    """
    found: list[str] = []
    for part in split_list(text, axis=axis):
        found += expand_range(part, axis=axis, whole=whole) if numbers and ".." in part else [part]
    return refuse_repeats(found, axis=axis)


def plain_number(value: Decimal) -> str:
    """Return the number without exponent and trailing zeros: 0.5, 1000."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_number(text: str) -> bool:
    try:
        return Decimal(text.strip()).is_finite() and len(text.strip()) <= 18
    except InvalidOperation:
        return False
