"""Options that several commands take, written once."""

from typing import Annotated

import typer

from engine.errors import ConfigError

COLOURS = ("auto", "truecolor", "256", "16", "none")

ColourOption = Annotated[
    str, typer.Option("--color", metavar="MODE", help="auto, truecolor, 256, 16 or none; NO_COLOR is honoured.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of text.")]


def check_colour(choice: str) -> str:
    """The choice, when it is one. Raises ConfigError with the list."""
    if choice not in COLOURS:
        raise ConfigError(f"--color {choice}: there is no such mode.", hint="Modes: " + ", ".join(COLOURS) + ".")
    return choice


def read_seeds(text: str) -> tuple[int, ...]:
    """Seeds from a count ("3": 0, 1, 2) or a list ("4,8,15").

    A single number with a comma after it ("7,") is that one seed. Raises ConfigError naming what is no number.
    """
    hint = "A count (3 means 0,1,2) or a list (4,8,15); '7,' is the one seed 7."
    parts = [part.strip() for part in text.split(",")]
    listed = len(parts) > 1
    numbers: list[int] = []
    for part in parts:
        if not part:
            continue
        if not part.lstrip("-").isdecimal():
            raise ConfigError(f"--seeds {text}: {part!r} is not a whole number.", hint=hint)
        numbers.append(int(part))
    if not numbers:
        raise ConfigError(f"--seeds {text!r}: there is no number in it.", hint=hint)
    if listed:
        return tuple(numbers)
    if not 1 <= numbers[0] <= 64:
        raise ConfigError(f"--seeds {text}: a run takes 1 to 64 seeds.", hint=hint)
    return tuple(range(numbers[0]))
