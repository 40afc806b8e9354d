"""Test that a repaired store replaces a damaged one without loss, even across kills."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.errors import StoreDamaged, StoreError
from sessions.files.journal import header_for, journals_of
from sessions.files.placing import copy_private
from sessions.files.store_exchange import exchange, exchange_record, finish_exchange, repaired_path
from sessions.recovery.repair import place, repair
from sessions.store.database import Store

from ...torture.exchange import Rows, all_rows, as_it_comes, lay_damaged, lay_journal, lay_old, sums
from ...torture.killing import in_child, stopped_at


@pytest.fixture(autouse=True)
def as_in_a_shell() -> Iterator[None]:
    """Set the umask of a user's shell, with which doctor runs."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """Return a folder with a damaged store and its repaired one, and the rows of the latter."""
    folder = tmp_path_factory.mktemp("laid")
    path = folder / "sessions.duckdb"
    in_child(lambda: str(lay_damaged(path)))
    rows: dict[str, Any] = {}

    def mend() -> Rows:
        report = repair(path)
        aside = folder / "look.duckdb"
        shutil.copyfile(report.repaired or "", aside)
        found = all_rows(aside)
        aside.unlink()
        return found

    rows = in_child(mend)
    assert len(rows["tag"]) > 10
    return folder, rows


@pytest.fixture
def path(laid: tuple[Path, Rows], tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(laid[0], folder)
    return folder / "sessions.duckdb"


def names(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def test_killed_at_any_call_it_is_finished_or_was_not_begun(path: Path, laid: tuple[Path, Rows]) -> None:
    damaged = {name for name in sums(laid[0]) if name not in sums_of(repaired_path(path))}
    states, number = set(), 0
    while True:
        number += 1
        shutil.rmtree(path.parent)
        shutil.copytree(laid[0], path.parent)
        call = stopped_at(lambda: exchange(path, repaired_path(path)), number)
        assert damaged <= sums(path.parent)
        if path.exists() and journals_of(path):
            states.add("not begun" if not exchange_record(path).exists() else "written")
            if not exchange_record(path).exists():
                assert repaired_path(path).exists()
                continue
        else:
            states.add("no store" if not path.exists() else "placed")
        assert all_rows(path) == laid[1], number
        assert not exchange_record(path).exists()
        assert damaged <= sums(path.parent)
        if call is None:
            break
    assert states == {"not begun", "written", "no store", "placed"}
    assert number > 10


def sums_of(path: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest()}


def test_one_that_was_not_begun_is_refused_with_what_helps(path: Path, laid: tuple[Path, Rows]) -> None:
    assert as_it_comes(path) == ("refused, repaired", laid[1])


def test_finishing_may_be_killed_too(path: Path, laid: tuple[Path, Rows]) -> None:
    exchange_until(path, 2)
    begun = path.parent.with_name("begun")
    shutil.copytree(path.parent, begun)
    number = 0
    while True:
        number += 1
        shutil.rmtree(path.parent)
        shutil.copytree(begun, path.parent)
        call = stopped_at(lambda: finish_exchange(path), number)
        assert all_rows(path) == laid[1]
        if call is None:
            break
    assert number > 4


def exchange_until(path: Path, renames: int) -> None:
    """End the process as if killed after that many renames of the exchange."""

    def work() -> None:
        left, real = renames + 1, Path.rename

        def rename(self: Path, goal: Path) -> Path:
            nonlocal left
            left -= 1
            if not left:
                os._exit(0)
            return real(self, goal)

        Path.rename = rename  # type: ignore[method-assign,assignment]
        exchange(path, repaired_path(path))

    pid = os.fork()
    if pid == 0:
        work()
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert exchange_record(path).exists()


def test_a_repaired_store_that_has_gone_takes_the_exchange_back(path: Path) -> None:
    before = {each: each.read_bytes() for each in (path, *journals_of(path))}
    exchange_until(path, 2)
    repaired_path(path).unlink()
    assert "is gone" in finish_exchange(path)
    assert {each: each.read_bytes() for each in (path, *journals_of(path))} == before
    assert names(path) == {each.name for each in before}


def test_a_store_that_came_meanwhile_is_not_replaced(path: Path, laid: tuple[Path, Rows]) -> None:
    exchange_until(path, 2)
    path.write_bytes(b"somebody's copy")
    with pytest.raises(StoreDamaged, match=r"was created while sessions\.repaired\.duckdb") as refused:
        Store.open(path)
    assert "Move sessions.duckdb to another folder" in refused.value.hint
    assert path.read_bytes() == b"somebody's copy"
    path.rename(path.parent.with_name("copy"))
    assert all_rows(path) == laid[1]


def test_a_record_that_says_nothing_is_refused(path: Path) -> None:
    for content in (b"", b"{}", b'{"repaired": "../x", "aside": "y"}', b"\xff"):
        exchange_record(path).write_bytes(content)
        with pytest.raises(StoreDamaged, match=r"sessions\.exchange\.json says"):
            finish_exchange(path)


def old_exchange(path: Path, renames: int) -> None:
    """Do the renames of an earlier version, which kept no plan, up to a kill."""
    aside = path.with_name("sessions.damaged-20261101-101010.duckdb")
    (wal,) = journals_of(path)
    steps = ((path, aside), (wal, aside.with_name(f"{aside.name}.wal")), (repaired_path(path), path))
    for old, new in steps[:renames]:
        old.rename(new)


@pytest.mark.parametrize("renames", [1, 2])
def test_no_store_is_begun_beside_what_is_left_of_one(path: Path, laid: tuple[Path, Rows], renames: int) -> None:
    old_exchange(path, renames)
    before = sums(path.parent)
    with pytest.raises(
        StoreDamaged, match=r"sessions\.duckdb is not there, but .*sessions\.repaired\.duckdb and"
    ) as no:
        Store.open(path)
    assert "--in-place puts sessions.repaired.duckdb in its place" in no.value.hint
    assert sums(path.parent) == before
    report = repair(path)
    assert report.repaired == str(repaired_path(path))
    assert not report.sound
    assert sums(path.parent) == before
    place(path, Path(report.repaired).name)
    assert sums(path.parent) == before
    assert names(path) == {
        "sessions.duckdb",
        "sessions.damaged-20261101-101010.duckdb",
        "sessions.damaged-20261101-101010.duckdb.wal",
    }
    assert all_rows(path) == laid[1]


@pytest.mark.parametrize("renames", [1, 2])
def test_where_only_the_damaged_one_is_left_it_is_what_is_repaired(
    path: Path, laid: tuple[Path, Rows], renames: int
) -> None:
    old_exchange(path, renames)
    repaired_path(path).unlink()
    with pytest.raises(StoreDamaged, match="is not there, but") as refused:
        Store.open(path)
    assert "saves what sessions.damaged-20261101-101010.duckdb holds" in refused.value.hint
    report = repair(path)
    place(path, Path(report.repaired or "").name)
    assert all_rows(path) == laid[1]


def test_no_store_is_begun_beside_what_a_host_kept(tmp_path: Path) -> None:
    path, kept = tmp_path / "sessions.duckdb", tmp_path / "sessions.kept-20261101-101010.duckdb"
    lay_old(kept, 3)
    with pytest.raises(StoreDamaged, match=r"is not there, but sessions\.kept-20261101-101010\.duckdb is") as refused:
        Store.open(path)
    assert f"mv {kept} {path}" in refused.value.hint
    kept.rename(path)
    assert any(all_rows(path).values())


def test_a_new_store_that_holds_something_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "sessions.duckdb"
    lay_old(path)
    rows = all_rows(path)
    for each in tmp_path.glob("*.schema-*"):
        each.unlink()
    path.rename(tmp_path / "sessions.duckdb.new")
    with pytest.raises(StoreDamaged, match=r"sessions\.duckdb\.new is, and holds \d+ events") as refused:
        Store.open(path)
    assert "rename it to sessions.duckdb" in refused.value.hint
    (tmp_path / "sessions.duckdb.new").rename(path)
    assert all_rows(path) == rows


def test_a_repair_once_more_keeps_what_the_first_one_saved(path: Path) -> None:
    before = sums(path.parent)
    report = repair(path)  # of the same damaged store
    assert report.repaired == str(repaired_path(path))
    assert sums(path.parent) == before
    place(path)
    lay_old(path)
    other = path.with_name("sessions.repaired.duckdb")
    lay_old(other, 3)
    kept = other.read_bytes()
    report = repair(path)
    assert report.repaired == str(path.with_name("sessions.repaired-2.duckdb"))
    assert other.read_bytes() == kept


def test_an_empty_store_is_not_said_to_be_whole_beside_a_fuller_one(path: Path, laid: tuple[Path, Rows]) -> None:
    """An earlier version, killed between its renames, created a new store at the next command."""
    old_exchange(path, 2)
    fuller = repaired_path(path).rename(path.with_name("away"))
    for each in path.parent.glob("sessions.damaged*"):
        each.rename(path.with_name(f"away-{each.name}"))
    Store.open(path).close()
    for each in path.parent.glob("away-*"):
        each.rename(path.with_name(each.name.removeprefix("away-")))
    fuller.rename(repaired_path(path))
    before = sums(path.parent)
    report = repair(path)
    assert not report.sound
    assert "sessions.duckdb holds no events." in report.words
    assert report.repaired == str(repaired_path(path))
    assert before == sums(path.parent)
    place(path, Path(report.repaired).name)
    assert before == sums(path.parent)
    assert all_rows(path) == laid[1]


def test_what_holds_less_is_not_put_in_place(path: Path) -> None:
    lay_old(path.with_name("sessions.repaired-2.duckdb"))
    store = Store.open(path.with_name("sessions.repaired-2.duckdb"))
    with store.transaction() as con:
        con.execute("DELETE FROM event WHERE seq > 5")
    store.close()
    before = sums(path.parent)
    with pytest.raises(StoreError, match=r"sessions\.repaired-2\.duckdb was not put in place: it holds") as refused:
        place(path, "sessions.repaired-2.duckdb")
    assert "another folder" in refused.value.hint
    assert sums(path.parent) == before


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_nothing_is_more_readable_than_the_store(path: Path, mode: int) -> None:
    repaired_path(path).unlink()
    path.chmod(mode)
    report = repair(path)
    assert Path(report.repaired or "").stat().st_mode & 0o777 == mode
    place(path)
    assert path.stat().st_mode & 0o777 == mode


def test_a_new_store_is_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "sessions.duckdb"
    Store.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_copy_before_an_upgrade_is_private_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions.duckdb"
    lay_old(path)
    seen = []
    real: Callable[..., object] = shutil.copyfile

    def copy(old: Path, new: Path) -> object:
        seen.append(new.stat().st_mode & 0o777)
        return real(old, new)

    monkeypatch.setattr(shutil, "copyfile", copy)
    Store.open(path).close()
    assert seen == [0o600]
    assert (tmp_path / "sessions.schema-1.duckdb").stat().st_mode & 0o777 == 0o600


def test_a_copy_is_whole_or_not_there_and_never_replaces_another(tmp_path: Path) -> None:
    old, goal = tmp_path / "sessions.duckdb", tmp_path / "sessions.schema-1.duckdb"
    old.write_bytes(b"a store" * 1000)
    number = 0
    while (number := number + 1) and stopped_at(lambda: copy_private(old, goal), number):
        assert not goal.exists() or goal.read_bytes() == old.read_bytes()
        assert copy_private(old, goal) == goal
        assert names(old) == {old.name, goal.name}
        goal.unlink()
    assert number > 4
    goal.write_bytes(b"of last year")
    assert copy_private(old, goal).name == "sessions.schema-1-2.duckdb"
    assert goal.read_bytes() == b"of last year"


def test_a_first_start_may_be_killed_anywhere(tmp_path: Path) -> None:
    path, number = tmp_path / "data" / "sessions.duckdb", 0
    while (number := number + 1) and stopped_at(lambda: Store.open(path).close(), number):
        assert not any(all_rows(path).values())
        assert names(path) == {path.name}
        path.unlink()
    assert number > 4


@pytest.mark.parametrize("rest", [b"", b"\x63\0\0\0\0\0\0\0checksumd\0"])
def test_a_torn_journal_without_a_commit_is_no_hindrance_to_an_upgrade(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "sessions.duckdb"
    lay_old(path)
    header = header_for(path)
    assert header
    path.with_name("sessions.duckdb.wal").write_bytes(header + rest)
    Store.open(path).close()
    assert (tmp_path / "sessions.schema-1.duckdb").exists()


def test_a_journal_that_stays_is_in_the_copy_or_nothing_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions.duckdb"
    in_child(lambda: lay_journal(path))
    import sessions.store.database as store_module
    from sessions.store import migrations

    more = (*migrations.MIGRATIONS, migrations.Migration("a table more", ("CREATE TABLE extra (i INTEGER)",)))
    monkeypatch.setattr(store_module, "MIGRATIONS", more)
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", len(more))
    real = Store.close

    def full(self: Store) -> None:
        (wal,) = journals_of(path)
        content = wal.read_bytes()
        real(self)
        wal.write_bytes(content)

    monkeypatch.setattr(Store, "close", full)
    with pytest.raises(StoreError, match="cannot be written into it"):
        Store.open(path)
    assert not list(tmp_path.glob("*.schema-*"))
