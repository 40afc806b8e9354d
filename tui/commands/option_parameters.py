"""Options of a run as parameters of a command, made from the table of options."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from engine.planning.option_table import find_option, help_of

Chosen = Mapping[str, Any]
"""The values given on the command line by the option's path (`sae.steps`); options not given are left out."""

_TYPES: dict[str, type] = {"whole": int, "number": float, "yes": bool}


def with_options(
    *paths: str, flags: Mapping[str, tuple[str, ...]] | None = None, as_text: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command a parameter for each of these options.

    The command takes them as one keyword, `chosen: Chosen`, at whose place they are listed in its help. flags: other
    names than the table's for some of them, by path. as_text: values stay text, which may be lists and ranges.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        made = {path.replace(".", "_"): path for path in paths}

        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {path: value for name, path in made.items() if (value := given.pop(name, None)) is not None}
            command(chosen=chosen, **given)

        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            if parameter.name != "chosen":
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
                continue
            for name, path in made.items():
                parameters.append(_parameter(name, path, (flags or {}).get(path), as_text=as_text))
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def part_of(chosen: Chosen, part: str) -> dict[str, Any]:
    """Return what was chosen in one part of the config (`sae`, `cause`), by the name of its field."""
    return {path.partition(".")[2]: value for path, value in chosen.items() if path.startswith(f"{part}.")}


def _parameter(name: str, path: str, flags: tuple[str, ...] | None, *, as_text: bool) -> inspect.Parameter:
    option = find_option(path)
    kind = str if as_text else _TYPES.get(option.kind, str)
    own = option.flag.partition("/")[0] if as_text else option.flag
    info = typer.Option(*(flags or (own,)), help=help_of(path), metavar="LIST" if as_text else None)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info]
    )
