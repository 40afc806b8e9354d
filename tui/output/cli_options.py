"""Options shared by several commands."""

from typing import Annotated

import typer

from engine.errors import ConfigError

COLOURS = ("auto", "truecolor", "256", "16", "none")

ColourOption = Annotated[
    str, typer.Option("--color", metavar="MODE", help="auto, truecolor, 256, 16 or none; NO_COLOR is respected.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of text.")]


def check_colour(choice: str) -> str:
    """Return the choice if it is valid. Raises ConfigError with the list of modes."""
    if choice not in COLOURS:
        raise ConfigError(f"--color {choice}: there is no such mode.", hint="Modes: " + ", ".join(COLOURS) + ".")
    return choice
