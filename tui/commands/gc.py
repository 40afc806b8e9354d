"""`headcode gc`: list files that no session needs, with sizes, and delete them on confirmation."""

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from sessions.protocol import GarbageReport

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(kB|MB|GB|TB)", re.IGNORECASE)
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def gc(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    cache_days: Annotated[
        float, typer.Option(help="Delete cached activations unused for this many days; 0: all.", min=0, max=36_500)
    ] = 30,
    cache_limit: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Also delete the least recently used activations beyond this size, for example 2GB."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List files that can be deleted: unused activations, leftovers, old logs and copies, the trash.

    --yes deletes them. Nothing that a session needs is ever deleted.
    """
    import msgspec

    from engine.machine.memory import format_bytes
    from sessions.protocol import CollectGarbage, GarbageReport
    from tui.headless.host_request import confirm, with_host
    from tui.output.console import narrate, print_json

    limit = read_size(cache_limit) if cache_limit is not None else None

    def ask(*, remove: bool) -> "GarbageReport":
        request = CollectGarbage(remove=remove, cache_days=cache_days, cache_bytes=limit)
        return with_host(lambda client: client.ask(request, GarbageReport))

    found = ask(remove=yes)
    if not as_json:
        _print(found)
    count = sum(pile.n_deletable for pile in found.piles)
    if not yes and count and not as_json:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            narrate("Nothing was deleted; --yes deletes these files.")
        elif confirm("Delete these files?", yes=False):
            found = ask(remove=True)
    if as_json:
        print_json(
            {
                "schema": "headcode.gc/1",
                "piles": msgspec.to_builtins(found.piles),
                "bytes": sum(pile.deletable_bytes for pile in found.piles),
                "removed": found.removed,
                "removed_bytes": found.removed_bytes,
            }
        )
    elif found.removed and count:
        narrate(f"Deleted {format_bytes(found.removed_bytes)}.")
    elif not count:
        narrate("There are no files to delete.")


def read_size(text: str) -> int:
    """Return the bytes of a size such as 2GB. Raises ConfigError."""
    from engine.errors import ConfigError

    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"--cache-limit {text[:40]!r} is not a size.", hint="Write it like 500MB or 2GB.")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _print(found: "GarbageReport") -> None:
    from engine.machine.memory import format_bytes
    from tui.output.console import print_columns

    def words(count: int, n_bytes: int) -> str:
        return f"{count} ({format_bytes(n_bytes)})" if count else "-"

    rows: list[tuple[str, ...]] = [
        (pile.kind, words(pile.n, pile.n_bytes), words(pile.n_deletable, pile.deletable_bytes), pile.about)
        for pile in found.piles
    ]
    total = sum(pile.n_deletable for pile in found.piles), sum(pile.deletable_bytes for pile in found.piles)
    rows.append(("total", "", words(*total), ""))
    print_columns(rows, header=("kind", "files", "can be deleted", "which"))
