"""Save what an open store holds into another file after its own file was taken away."""

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
"""Part of such a file's name: sessions.kept-20261130-120000.duckdb."""


def save_beside(store: "Store", change: FileChange, identity: FileIdentity) -> StoreLost:
    """Write every row of the open store into a new one beside it; return the error for later writes.

    If the files were only moved, nothing is lost and nothing is written. Failures are described in the error.
    """
    if change.kind == "moved":
        moved = StoreLost(
            f"{change.words} Everything that was recorded is there; this host records nothing more and exits.",
            hint="Set HEADCODE_HOME to its new place, or move it back; the next command starts a host.",
        )
        moved.moved = True
        return moved
    goal = _free_name(store.path)
    log.error("%s The open store is saved to %s", change.words, goal)
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
            f"{change.words} Nothing more is recorded, and what the host still holds cannot be saved: {why}",
            hint="Leave the host running, export what you need (headcode export), then: headcode host stop",
        )
    _move_journal(identity, goal)
    short = [table.name for table in tables if table.rows is None or table.kept < table.rows]
    lost = f" Not everything of {', '.join(short)} could be read." if short else ""
    log.error("%d rows are in %s", sum(table.kept for table in tables), goal)
    return StoreLost(
        f"{change.words} Nothing more is recorded; everything before is saved beside it in {goal.name}.{lost}",
        hint=_format_remedy(store.path, goal),
    )


def _format_remedy(path: Path, goal: Path) -> str:
    """Return the commands to continue with the saved store.

    They overwrite no files that others put there meanwhile, and leave no foreign journal.
    """
    strangers = [each for each in (path, *journals_of(path)) if os.path.lexists(each)]
    moves = [f"{move_command(each, each.with_name(each.name + '.other'))} && " for each in strangers]
    return f"headcode host stop; to continue with what was saved: {''.join(moves)}{move_command(goal, path)}"


def _free_name(path: Path) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    goal = path.with_name(f"{path.stem}.{KEPT}-{stamp}{path.suffix}")
    number = 2
    while os.path.lexists(goal):
        goal = path.with_name(f"{path.stem}.{KEPT}-{stamp}-{number}{path.suffix}")
        number += 1
    return goal


def _move_journal(identity: FileIdentity, goal: Path) -> None:
    """Move our journal away, which is saved by now: it would keep the file at the store's path from being opened."""
    journal = identity.own_journal()
    if journal is not None:
        with suppress(OSError):
            journal.rename(goal.with_name(goal.stem + ".journal"))
