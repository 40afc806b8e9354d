"""`python -m sessions.recovery.repair check | repair | place`: check a store, and save what a damaged one holds.

It runs in a separate process, because a damaged file can crash DuckDB, and prints one JSON object. The damaged store is
never written; `place` moves it aside and puts the repaired one in its place.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec

from engine.errors import Failure, HeadcodeError
from engine.machine.folders import AppFolders, find_folders
from sessions.errors import HostRunning, StoreDamaged, StoreError, StoreTooNew
from sessions.files.journal import holds_commits
from sessions.files.mounts import network_file_system
from sessions.files.placing import free_name, keep_mode, move, sync
from sessions.files.store_exchange import (
    check_no_remains,
    damaged_stores,
    exchange,
    finish_exchange,
    repaired_path,
    repaired_stores,
    restore_journals,
)
from sessions.recovery.salvage import Row, SalvageSource, open_as_it_is, open_damaged
from sessions.rows import StoreReport, TableHealth
from sessions.store.database import Store, append_rows, count_events
from sessions.store.migrations import PROJECTIONS, SCHEMA_VERSION
from sessions.store.recorder import rebuild
from sessions.transport.host_address import store_lock

LOOK_S = 15.0
"""Seconds for a check; a store of gigabytes on a busy disk would take minutes."""


def check(path: Path) -> StoreReport:
    """Check whether every value of every table can be read, as far as possible in LOOK_S.

    Raises StoreError for a store that does not open.
    """
    source = open_as_it_is(path)
    deadline = time.monotonic() + LOOK_S
    try:
        _schema_of(source, path)
        counted = {name: source.count(name) for name in source.tables()}
        tables = []
        for name in sorted(counted, key=lambda name: counted[name] or 0):  # small tables first
            read, words = source.look(name, deadline)
            tables.append(TableHealth(name=name, rows=counted[name], kept=read, words=words))
    finally:
        source.close()
    damaged = [table.name for table in tables if table.words]
    words = f"damaged: {', '.join(damaged)}" if damaged else ""
    kind = network_file_system(path)
    return StoreReport(store=str(path), sound=not damaged, tables=tuple(tables), words=words, network=kind)


def repair(path: Path) -> StoreReport:
    """Save what can be read into a new store beside the old one. Raises StoreError if that is nothing.

    If there is no store any more, the result of an earlier repair is returned, or else the last damaged store is
    read.
    """
    restore_journals(path)
    for left in path.parent.glob("repair-*"):  # of a killed repair; two never run at once
        shutil.rmtree(left, ignore_errors=True)
    earlier = {each: count_events(each) or 0 for each in repaired_stores(path)}
    if not path.exists() and earlier:
        return _of_earlier(path, max(earlier, key=lambda each: earlier[each]), "")
    old = path if path.exists() or not damaged_stores(path) else damaged_stores(path)[-1]
    with tempfile.TemporaryDirectory(prefix="repair-", dir=path.parent) as folder:
        work = Path(folder)
        source = open_damaged(old, work)
        try:
            made, tables, words = save_rows(source, old, work / "repaired.duckdb")
        finally:
            source.close()
        keep_mode(old, made)
        events = count_events(made) or 0
        larger = [each for each, rows in earlier.items() if rows > events]
        if larger and not events:
            return _of_earlier(path, max(larger, key=lambda each: earlier[each]), f"{old.name} holds no events.")
        new = next((each for each in earlier if _same(each, made)), None)
        if new is None:
            new = free_name(repaired_path(path))
            sync(made)
            move(made, new)
    lost = any(table.rows is None or table.kept < table.rows for table in tables if not table.words)
    remarks = [f"{each.name} of an earlier repair holds more: {earlier[each]:,} events." for each in larger]
    remarks += [
        f"{each.name} holds more: {rows:,} events, this store {events:,}."
        for each in damaged_stores(path)
        if each != old and (rows := count_events(each) or 0) > events
    ]
    message = " ".join(source.harmless + source.words + words + remarks)
    sound = not (lost or source.words or remarks)
    return StoreReport(store=str(path), sound=sound, tables=tables, words=message, repaired=str(new))


def place(path: Path, name: str | None = None) -> StoreReport:
    """Move the damaged store and its journals aside and put a repaired one (the newest) in its place.

    Raises StoreError if there is none, or if another repaired store holds more.
    """
    restore_journals(path)
    found = repaired_stores(path)
    wanted = [each for each in found if name in (None, each.name)]
    if not wanted:
        raise StoreError(f"There is no {repaired_path(path)}.", hint="headcode doctor --repair makes it.")
    new, events = wanted[-1], {each: count_events(each) or 0 for each in found}
    largest = max(found, key=lambda each: events[each])
    if events[largest] > events[new]:
        raise StoreError(
            f"{new.name} was not put in place: it holds {events[new]:,} events, {largest.name} of an earlier repair "
            f"{events[largest]:,}.",
            hint="Move the one that you do not want to another folder, then: headcode doctor --repair --in-place",
        )
    there = path.exists()
    aside = exchange(path, new)
    words = f"The damaged store is now {aside}." if there else ""
    left = [each.name for each in repaired_stores(path)]
    if left:
        words = f"{words} Earlier repairs also left {' and '.join(left)}."
    return StoreReport(store=str(path), sound=True, words=words.strip())


def _of_earlier(path: Path, new: Path, words: str) -> StoreReport:
    """Report the store that an earlier repair saved, if there is nothing better."""
    source = open_as_it_is(new)
    try:
        tables = tuple(
            TableHealth(name=name, rows=source.count(name), kept=source.count(name) or 0)
            for name in source.tables()
            if name != "meta"
        )
    finally:
        source.close()
    message = f"{words} {new.name} of an earlier repair was not changed; that repair reported what was lost.".strip()
    return StoreReport(store=str(path), sound=False, tables=tables, words=message, repaired=str(new))


def _same(one: Path, other: Path) -> bool:
    """Return whether two stores hold the same rows in the same tables."""
    return _content(one) == _content(other) is not None


def _content(path: Path) -> list[tuple[object, ...]] | None:
    try:
        source = open_as_it_is(path)
    except StoreError:
        return None
    try:
        return [
            (name, *source.con.execute(f"SELECT count(*), bit_xor(hash(t)) FROM {name} AS t").fetchall()[0])  # noqa: S608
            for name in source.tables()
        ]
    except duckdb.Error:
        return None
    finally:
        source.close()


def save_rows(source: SalvageSource, old: Path, path: Path) -> tuple[Path, tuple[TableHealth, ...], list[str]]:
    """Write a new store with the readable rows; return it, each table's state, and further remarks."""
    schema = _schema_of(source, old)
    store = Store.blank(path, schema)
    words: list[str] = []
    try:
        there = source.tables()
        saved = {name: _copied(source, store, name) for name in store.tables() if name in there and name != "meta"}
        store.migrate(schema)
        log = saved.get("event")
        whole = log is not None and log.rows is not None and log.kept >= log.rows and not source.words
        short = [name for name in PROJECTIONS if name in saved and not _complete(saved[name])]
        if whole and short:
            with contextlib.suppress(HeadcodeError, msgspec.MsgspecError, LookupError):
                rebuild(store)
                for name in short:
                    rows = store.rows(f"SELECT count(*) FROM {name}")[0][0]  # noqa: S608  # ours
                    saved[name] = msgspec.structs.replace(saved[name], kept=rows, words="rebuilt from the log")
    finally:
        store.close()
    Store.open(path).close()  # every store that is handed over can be opened
    if holds_commits(path):
        raise StoreError(f"{path.name} could not be written completely.", hint="Free some space and try again.")
    return path, tuple(saved.values()), words


def _schema_of(source: SalvageSource, path: Path) -> int:
    """Return the store's schema; the current one if it cannot be read.

    Raises StoreTooNew, or StoreDamaged for a file of another program.
    """
    try:
        found = source.con.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall()
    except duckdb.Error:
        return SCHEMA_VERSION
    schema = int(found[0][0]) if found and str(found[0][0]).isdecimal() else SCHEMA_VERSION
    if schema > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{path} has schema {schema}; this Headcode knows schemas up to {SCHEMA_VERSION}.",
            hint="Upgrade Headcode, or set HEADCODE_HOME to use another store.",
        )
    if not source.tables() or "event" not in source.tables():
        raise StoreDamaged(f"{path} has no Headcode tables.", hint="Put a copy of yours in its place.")
    return schema


def _copied(source: SalvageSource, store: Store, name: str) -> TableHealth:
    rows = source.count(name)
    old_columns = source.columns(name)
    columns = store.columns(name)
    shared = [column for column in columns if column in old_columns]
    places = [shared.index(column) if column in shared else None for column in columns]
    came = 0

    def keep(piece: list[Row]) -> None:
        nonlocal came
        came += _insert(
            store, name, [tuple(row[at] if at is not None else None for at in places) for row in piece], len(columns)
        )

    source.read(name, shared, keep)
    return TableHealth(name=name, rows=rows, kept=came)


def _insert(store: Store, name: str, rows: Sequence[Row], width: int) -> int:
    try:
        with store.transaction() as con:
            append_rows(con, name, rows)
    except StoreError as error:
        if not isinstance(error.__cause__, duckdb.ConstraintException):
            raise
    else:
        return len(rows)
    # A row violates a constraint, for example because an older state of the file holds a key twice: insert one by one.
    marks = ", ".join("?" * width)
    came = 0
    for row in rows:
        with contextlib.suppress(StoreError), store.transaction() as con:
            con.execute(f"INSERT INTO {name} VALUES ({marks})", list(row))  # noqa: S608  # ours
            came += 1
    return came


def _complete(table: TableHealth) -> bool:
    return table.rows is not None and table.kept >= table.rows


def _work(mode: str, path: Path, name: str | None) -> StoreReport:
    """Complete an interrupted exchange, then do what was requested."""
    done = finish_exchange(path)
    if not (path.exists() or repaired_stores(path) or damaged_stores(path)):
        check_no_remains(path)
    if mode == "check":
        report = check(path)
        return msgspec.structs.replace(report, words=f"{done} {report.words}".strip())
    if mode == "place":
        return place(path, name)
    if done:
        return StoreReport(store=str(path), sound=True, words=f"An interrupted exchange was completed: {done}")
    return repair(path)


def main(mode: str, places: AppFolders, name: str | None = None) -> int:
    """Run one mode while no host is running, and print the report on stdout."""
    answer: StoreReport | Failure
    os.umask(0o077)  # files made here are private
    try:
        if not places.data.is_dir():
            raise StoreError(f"There is no store at {places.store} yet.", hint="The first run creates one.")
        lock = store_lock(places)
        if not lock.take():
            raise HostRunning("A host has the store open.", hint="End it first: headcode host stop")
        try:
            answer = _work(mode, places.store, name)
        finally:
            lock.release()
    except HeadcodeError as error:
        answer = error.as_failure()
    except OSError as error:
        message = f"The system refused: {error.strerror or error} ({error.filename})."
        answer = Failure(
            family="store", name="OSError", message=message, hint="A repair needs as much space as the store."
        )
    sys.stdout.buffer.write(msgspec.json.encode({"failure" if isinstance(answer, Failure) else "report": answer}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], find_folders(), *sys.argv[2:3]))
