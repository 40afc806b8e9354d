"""Test an open store's file being removed, replaced, overwritten or moved: no lost write is acknowledged."""

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sessions.errors import StoreError, StoreLost
from sessions.events import SessionCreated
from sessions.files.journal import journals_of
from sessions.ids import new_id
from sessions.recovery import rescue
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder


def add(store: Store, name: str) -> None:
    event = SessionCreated(name=name, model="toy", task="ioi", pairs=2)
    Recorder(store).append([EventDraft(session_id=new_id("s"), event=event)])


def names(path: Path) -> list[str]:
    store = Store.open(path)
    try:
        return [str(name) for (name,) in store.rows("SELECT name FROM session ORDER BY name")]
    finally:
        store.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with half of its content in the file, half in the journal."""
    store = Store.open(tmp_path / "data" / "sessions.duckdb")
    add(store, "in the file")
    store.checkpoint()
    add(store, "in the journal")
    store.on_lost = rescue.save_beside
    return store


def stranger(tmp_path: Path) -> Path:
    """Return another store of this schema, with one session."""
    path = tmp_path / "other" / "other.duckdb"
    other = Store.open(path)
    add(other, "a stranger's")
    other.close()
    return path


def remove(path: Path, _: Path) -> None:
    path.unlink()


def remove_all(path: Path, _: Path) -> None:
    path.unlink()
    path.with_name(path.name + ".wal").unlink()


def remove_folder(path: Path, _: Path) -> None:
    shutil.rmtree(path.parent)


def replace(path: Path, by: Path) -> None:
    shutil.copy(by, path.with_name("arriving"))
    path.with_name("arriving").rename(path)


def replace_all(path: Path, by: Path) -> None:
    replace(path, by)
    path.with_name(path.name + ".wal").unlink()


def move_alone(path: Path, _: Path) -> None:
    path.rename(path.with_name("elsewhere.duckdb"))


def remove_journal(path: Path, _: Path) -> None:
    path.with_name(path.name + ".wal").unlink()


def replace_journal(path: Path, _: Path) -> None:
    wal = path.with_name(path.name + ".wal")
    shutil.copy(wal, wal.with_name("arriving"))
    wal.with_name("arriving").rename(wal)


WAYS: tuple[Callable[[Path, Path], None], ...] = (
    remove,
    remove_all,
    remove_folder,
    replace,
    replace_all,
    move_alone,
    remove_journal,
    replace_journal,
)


@pytest.mark.parametrize("way", WAYS)
def test_what_it_holds_is_kept_beside_and_no_more_is_written(store: Store, tmp_path: Path, way) -> None:
    path, other = store.path, stranger(tmp_path)
    way(path, other)
    before = {each: hashlib.sha256(each.read_bytes()).hexdigest() for each in tmp_path.rglob("*") if each.is_file()}
    with pytest.raises(StoreLost, match="while it was open") as found:
        add(store, "too late")
    (kept,) = path.parent.glob(f"*.{rescue.KEPT}-*.duckdb")
    assert kept.name in found.value.message
    assert "headcode host stop" in found.value.hint
    assert f"mv {kept} {path}" in found.value.hint
    typed = found.value.hint.split("saved: ")[1]
    assert names(kept) == ["in the file", "in the journal"]
    assert kept.stat().st_mode & 0o077 == 0
    # It can be read, refuses every further write with the same message, and is saved only once.
    assert len(store.rows("SELECT * FROM session")) == 2
    for write in (lambda: add(store, "again"), store.checkpoint):
        with pytest.raises(StoreLost) as again:
            write()
        assert again.value is found.value
    store.close()
    after = {each: hashlib.sha256(each.read_bytes()).hexdigest() for each in tmp_path.rglob("*") if each.is_file()}
    new = {each for each in after if rescue.KEPT not in each.name}
    assert {each: after[each] for each in new} == {each: before[each] for each in new}, "a stranger's file was touched"
    if way in (replace, replace_all):
        assert names(path) == ["a stranger's"]  # our journal does not prevent it from being opened
    subprocess.run(["sh", "-c", typed], check=True)
    assert names(path) == ["in the file", "in the journal"]
    if way in (replace, replace_all):
        assert names(path.with_name(path.name + ".other")) == ["a stranger's"]


def test_a_file_overwritten_in_its_place_is_noticed(store: Store, tmp_path: Path) -> None:
    """As by `cp copy.duckdb sessions.duckdb`: the same inode, other bytes."""
    shutil.copyfile(stranger(tmp_path), store.path)
    with pytest.raises(StoreLost, match="written into by another program"):
        add(store, "too late")
    (kept,) = store.path.parent.glob(f"*.{rescue.KEPT}-*.duckdb")
    assert "in the journal" in names(kept)


def test_a_restored_copy_and_its_journal_are_not_written_over_by_what_the_hint_says(tmp_path: Path) -> None:
    """In a folder whose name needs quoting; the copy's journal would keep the saved store from being opened."""
    path = tmp_path / "an old man's data" / "sessions.duckdb"
    store = Store.open(path)
    store.on_lost = rescue.save_beside
    add(store, "before the copy")
    backup = {each: shutil.copy(each, tmp_path / each.name) for each in journals_of(path)} | {
        path: shutil.copy(path, tmp_path / path.name)
    }
    store.checkpoint()
    add(store, "after the copy")
    for each, copied in backup.items():
        Path(copied).rename(each)
    with pytest.raises(StoreLost) as found:
        add(store, "too late")
    store.close()
    subprocess.run(["sh", "-c", found.value.hint.split("saved: ")[1]], check=True)
    assert names(path) == ["after the copy", "before the copy"]
    other = path.with_name(path.name + ".other")
    journal = path.with_name(path.name + ".wal.other")
    journal.rename(other.with_name(other.name + ".wal"))
    assert names(other) == ["before the copy"]


def write_while_it_is_copied_over(store: Store, by: Path) -> None:
    with store.transaction() as con:
        con.execute("INSERT OR REPLACE INTO meta VALUES ('too', 'late')")
        shutil.copyfile(by, store.path)


def test_a_file_overwritten_in_the_middle_of_a_commit_is_noticed(store: Store, tmp_path: Path) -> None:
    """With many writers, the store is nearly always in the middle of a commit."""
    by = stranger(tmp_path)
    older = tmp_path / "older"
    shutil.copyfile(store.path, older)
    store.checkpoint()
    for number, copy in enumerate((by, older)):
        whole = store.path.read_bytes()
        with pytest.raises(StoreLost, match="written into by another program"):
            write_while_it_is_copied_over(store, copy)
        assert len(list(store.path.parent.glob(f"*.{rescue.KEPT}-*.duckdb"))) == number + 1
        store.path.write_bytes(whole)
        store.lost = None


def test_a_file_overwritten_while_it_is_committed_is_noticed(store: Store, tmp_path: Path, monkeypatch) -> None:
    """Even after the last check before the commit: that write is not acknowledged."""
    by, look = stranger(tmp_path), store.check_place

    def look_and_copy(*, writing: bool = False) -> None:
        look(writing=writing)
        if writing:
            shutil.copyfile(by, store.path)

    monkeypatch.setattr(store, "check_place", look_and_copy)
    with pytest.raises(StoreLost, match="written into by another program"):
        add(store, "too late")


def cut(wal: Path, _: bytes) -> None:
    os.truncate(wal, 0)


def put_older(wal: Path, older: bytes) -> None:
    """Overwrite in place, as `cp` and `rsync --inplace` do: the same file, other bytes."""
    wal.write_bytes(older)


def spoil(wal: Path, _: bytes) -> None:
    with wal.open("r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(bytes(20))


@pytest.mark.parametrize("committing", [False, True])
@pytest.mark.parametrize("way", [cut, put_older, spoil])
def test_a_journal_written_into_is_noticed(store: Store, way, committing: bool, monkeypatch) -> None:
    wal = store.path.with_name(store.path.name + ".wal")
    older = wal.read_bytes()
    add(store, "in the journal only")
    if committing:
        look = store.check_place

        def look_and_change(*, writing: bool = False) -> None:
            look(writing=writing)
            if writing:
                way(wal, older)

        monkeypatch.setattr(store, "check_place", look_and_change)
    else:
        way(wal, older)
    with pytest.raises(StoreLost, match=r"journal .* was written into by another program"):
        add(store, "too late")
    store.close()
    (kept,) = store.path.parent.glob(f"*.{rescue.KEPT}-*.duckdb")
    assert {"in the file", "in the journal", "in the journal only"} <= set(names(kept))


def test_no_use_of_our_own_is_taken_for_a_stranger_s(store: Store) -> None:
    """Checkpoints of every kind, rollbacks, concurrent readers, a reopened database."""
    wal = store.path.with_name(store.path.name + ".wal")
    draw = random.Random(0)
    for number in range(100):
        match draw.randrange(8):
            case 0:
                store.checkpoint()
            case 1:
                store.renew()
            case 2:
                with suppress(ZeroDivisionError), store.transaction() as con:
                    con.execute("CREATE TABLE big AS SELECT hash(range) AS x FROM range(300_000)")
                    raise ZeroDivisionError
            case 3:
                with suppress(StoreError), store.transaction() as con:
                    con.execute("SELECT no_such_function()")
            case 4:
                with store.transaction() as con:  # more than DuckDB leaves in its journal
                    con.execute("CREATE TABLE big AS SELECT hash(range) AS x FROM range(300_000)")
                    con.execute("DROP TABLE big")
            case 5:
                reader = store.cursor()
                reader.execute("BEGIN; SELECT count(*) FROM event").fetchall()
                with suppress(StoreError):
                    store.checkpoint()
                add(store, f"beside a reader {number}")
                reader.close()
                del reader
            case 6:
                store.path.touch()
                if wal.exists():
                    wal.touch()
                shutil.copy(store.path, store.path.with_name("backup"))
            case _:
                add(store, f"session {number}")
        store.check_place()
    store.close()
    assert names(store.path)


def test_a_touched_file_is_not_a_lost_one(store: Store) -> None:
    store.path.touch()
    add(store, "after the touch")
    store.close()
    assert names(store.path) == ["after the touch", "in the file", "in the journal"]


def test_a_moved_folder_keeps_everything_where_it_went(store: Store, tmp_path: Path) -> None:
    now = tmp_path / "elsewhere"
    store.path.parent.rename(now)
    with pytest.raises(StoreLost, match="was moved to"):
        add(store, "too late")
    store.close()
    assert not store.path.parent.exists()
    assert names(now / store.path.name) == ["in the file", "in the journal"]


def test_a_change_in_the_middle_of_a_write_is_noticed_before_the_commit(store: Store) -> None:
    def write() -> None:
        with store.transaction() as con:
            con.execute("INSERT INTO meta VALUES ('half', 'way')")
            store.path.unlink()

    with pytest.raises(StoreLost):
        write()
    (kept,) = store.path.parent.glob(f"*.{rescue.KEPT}-*.duckdb")
    assert names(kept) == ["in the file", "in the journal"]


def test_where_it_cannot_be_kept_it_says_so_and_is_read_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rescue, "save_rows", refuse)
    store.path.unlink()
    with pytest.raises(StoreLost, match="cannot be saved: No space left") as found:
        add(store, "too late")
    assert "export" in found.value.hint
    assert len(store.rows("SELECT * FROM session")) == 2


def test_a_store_that_broke_down_is_not_opened_over_a_strangers_file(store: Store, tmp_path: Path) -> None:
    replace(store.path, stranger(tmp_path))
    store._con.close()
    store._con = None
    with pytest.raises(StoreError, match="replaced by another file"):
        store.rows("SELECT 1")
