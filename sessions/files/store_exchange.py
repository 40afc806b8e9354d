"""Replace a damaged store by a repaired one; the plan is on disk, so that it can be completed after a kill.

The plan is `sessions.exchange.json`, which is written before anything is renamed and removed at the end:

    1. sessions.duckdb            becomes  sessions.damaged-DATE.duckdb
    2. its journals (.wal ...)    become   sessions.damaged-DATE.duckdb.wal ...
    3. sessions.repaired.duckdb   becomes  sessions.duckdb

The store is renamed before its journals: a journal without a store is noticed, a store without its journal is not.
Before a store is opened or checked, with the host's lock held, `finish_exchange` is called.
"""

import datetime
from collections.abc import Iterable
from pathlib import Path

import msgspec

from sessions.errors import StoreDamaged
from sessions.files.journal import identifiers, journals_of
from sessions.files.placing import free_name, move, move_command, sync, write_private

_PLACE = "headcode doctor --repair --in-place"


class StoreExchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new file names, in the store's folder."""

    repaired: str
    aside: str


def exchange_record(path: Path) -> Path:
    """Return the path of the plan."""
    return path.with_name(f"{path.stem}.exchange.json")


def exchange(path: Path, repaired: Path) -> Path:
    """Move the store and its journals aside and put the repaired store in their place.

    Returns the path of the old store.
    """
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    aside = free_name(path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}"))
    sync(repaired)
    record = msgspec.json.encode(StoreExchange(repaired=repaired.name, aside=aside.name))
    write_private(exchange_record(path), record)
    finish_exchange(path)
    return aside


def finish_exchange(path: Path) -> str:
    """Complete an interrupted exchange, or revert it if that is impossible.

    Returns a description of what was done, or "". Raises StoreDamaged if neither is possible.
    """
    record = exchange_record(path)
    if not record.exists():
        return ""
    found = _read(record)
    aside, repaired = path.with_name(found.aside), path.with_name(found.repaired)
    words = ""
    if path.exists() and aside.exists() and repaired.exists():
        raise StoreDamaged(
            f"{path} was created while {repaired.name} was about to replace it ({aside.name} is the store before).",
            hint=f"Move {path.name} to another folder, then: {_PLACE}",
        )
    if repaired.exists():
        if path.exists():
            move(path, aside)
        _move_journals(path, aside)
        move(repaired, path)
    if aside.exists() and path.exists():
        words = f"{path.name} is the repaired store now; the previous one is {aside.name}."
    elif aside.exists():
        # The journals first, as above: a store must never be without its journal.
        _move_journals(aside, path)
        move(aside, path)
        words = f"{repaired.name} is gone, so {path.name} is the previous store again."
    record.unlink()
    sync(path.parent)
    return words


def repaired_path(path: Path) -> Path:
    """Return the path at which a repair writes the new store."""
    return path.with_name(f"{path.stem}.repaired{path.suffix}")


def repaired_stores(path: Path) -> list[Path]:
    """Return stores saved by earlier repairs and not put in place, the oldest first."""
    return _by_age(path.parent.glob(f"{path.stem}.repaired*{path.suffix}"))


def damaged_stores(path: Path) -> list[Path]:
    """Return the stores that repaired ones have replaced, the oldest first."""
    return _by_age(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))


def kept_stores(path: Path) -> list[Path]:
    """Return the stores that hosts saved after their files were taken away, the oldest first.

    See sessions.recovery.rescue.
    """
    return _by_age(path.parent.glob(f"{path.stem}.kept-*{path.suffix}"))


def restore_journals(path: Path) -> None:
    """Rename journals without a store to those of the damaged store they belong to.

    Earlier versions left them so after a kill.
    """
    orphaned = journals_of(path)
    if path.exists() or not orphaned:
        return
    for aside in reversed(damaged_stores(path)):
        own, known = identifiers(aside, orphaned[0])
        if not journals_of(aside) and own and known in (own, b""):
            _move_journals(path, aside)
            return


def check_no_remains(path: Path) -> None:
    """Raise StoreDamaged if there is no store at `path` but remains of one beside it; no new one is created then."""
    orphaned, repaired, damaged = journals_of(path), repaired_stores(path), damaged_stores(path)
    rescued = kept_stores(path)
    if not (orphaned or repaired or damaged or rescued):
        return
    names = " and ".join(each.name for each in (*orphaned, *repaired, *damaged, *rescued))
    if rescued and not orphaned:
        raise StoreDamaged(
            f"{path} is not there, but {names} {'are' if ' and ' in names else 'is'}.",
            hint="To start with an empty store, move these files elsewhere; to continue with the saved one: "
            + move_command(rescued[-1], path),
        )
    if repaired or damaged:
        does = f"puts {repaired[-1].name} in its place" if repaired else f"saves what {damaged[-1].name} holds"
        raise StoreDamaged(
            f"{path} is not there, but {names} {'are' if ' and ' in names else 'is'}.",
            hint=f"{_PLACE} {does}. To start with an empty store, move these files to another folder.",
        )
    raise StoreDamaged(
        f"{orphaned[0]} exists, but its store {path.name} does not.",
        hint=f"Put {path.name} back beside it, or move {orphaned[0].name} away to start with an empty store.",
    )


def _move_journals(path: Path, goal: Path) -> None:
    for journal in journals_of(path):
        moved = goal.with_name(goal.name + journal.name.removeprefix(path.name))
        try:
            move(journal, moved)
        except FileExistsError:
            raise StoreDamaged(
                f"{journal} cannot be renamed to {moved.name}, which exists already.",
                hint=f"Move {moved.name} to another folder, then: {_PLACE}",
            ) from None


def _read(record: Path) -> StoreExchange:
    try:
        found = msgspec.json.decode(record.read_bytes(), type=StoreExchange)
        if all(Path(name).name == name for name in (found.repaired, found.aside)):
            return found
    except (OSError, msgspec.MsgspecError):
        pass
    raise StoreDamaged(
        f"{record} says that a repaired store is being put in place, but cannot be read.",
        hint=f"Check the files beside it, and move {record.name} away.",
    )


def _by_age(found: Iterable[Path]) -> list[Path]:
    return sorted((path for path in found if path.is_file()), key=lambda path: (path.stat().st_mtime_ns, path.name))
