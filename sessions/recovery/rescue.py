"""What an open store still holds after its file was taken away, kept in a file beside it."""

import datetime
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HeadcodeError
from sessions.errors import StoreLost
from sessions.files.journal import journals_of
from sessions.files.placing import move_command
from sessions.recovery.repair import save_rows
from sessions.recovery.salvage import SalvageSource
from sessions.store.file_identity import FileChange, FileIdentity

if TYPE_CHECKING:
    from sessions.store.database import Store

log = logging.getLogger("headcode.rescue")

KEPT = "kept"
"""Stands in the name of such a file: sessions.kept-20261130-120000.duckdb."""


def save_beside(store: "Store", change: FileChange, identity: FileIdentity) -> StoreLost:
    """Writes every row that the open store holds into a new one beside it; returns what to tell whoever wants to write.

    Files that were only moved hold everything already, and nothing is written. Whatever goes wrong is in the words.
    """
    if change.kind == "moved":
        moved = StoreLost(
            f"{change.words} Everything that was recorded is there; this host records no more and leaves.",
            hint="Set HEADCODE_HOME to where it lies now, or move it back; the next command starts a host.",
        )
        moved.moved = True
        return moved
    goal = _free_name(store.path)
    log.error("%s What is still held is written to %s", change.words, goal)
    try:
        goal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="keeping-", dir=goal.parent) as folder:
            made, tables, _ = save_rows(SalvageSource(store.connection(), []), store.path, Path(folder) / goal.name)
            made.chmod(0o600)
            made.rename(goal)
    except (HeadcodeError, OSError) as error:
        why = error.message if isinstance(error, HeadcodeError) else f"{error.strerror or error}."
        log.error("it cannot be written: %s", why)
        return StoreLost(
            f"{change.words} Nothing more is recorded, and what the host still holds cannot be written beside it: "
            f"{why}",
            hint="Leave the host running, export what you need (headcode export), then: headcode host stop",
        )
    _move_journal(identity, goal)
    short = [table.name for table in tables if table.rows is None or table.kept < table.rows]
    lost = f" Of {', '.join(short)} not everything could be read any more." if short else ""
    log.error("%d rows are in %s", sum(table.kept for table in tables), goal)
    return StoreLost(
        f"{change.words} Nothing more is recorded; all until then is kept beside it in {goal.name}.{lost}",
        hint=_format_remedy(store.path, goal),
    )


def _format_remedy(path: Path, goal: Path) -> str:
    """What to type: files that somebody put there meanwhile are not written over, and no journal of theirs stays."""
    strangers = [each for each in (path, *journals_of(path)) if os.path.lexists(each)]
    moves = [f"{move_command(each, each.with_name(each.name + '.other'))} && " for each in strangers]
    return f"headcode host stop; to go on with what was kept: {''.join(moves)}{move_command(goal, path)}"


def _free_name(path: Path) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    goal = path.with_name(f"{path.stem}.{KEPT}-{stamp}{path.suffix}")
    number = 2
    while os.path.lexists(goal):
        goal = path.with_name(f"{path.stem}.{KEPT}-{stamp}-{number}{path.suffix}")
        number += 1
    return goal


def _move_journal(identity: FileIdentity, goal: Path) -> None:
    """Our journal, all of which is kept now, would keep the file that lies at the store's path from being opened."""
    journal = identity.own_journal()
    if journal is not None:
        with suppress(OSError):
            journal.rename(goal.with_name(goal.stem + ".journal"))
