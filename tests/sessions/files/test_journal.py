"""Test damaged journals: a store opens with everything acknowledged, or is refused with an explanation."""

import os
import random
from pathlib import Path

import duckdb
import pytest

from sessions.errors import StoreDamaged
from sessions.files.journal import COMMIT, checksum, header_for, journals_of, read_journal
from sessions.recovery.repair import repair
from sessions.store.connection import connect
from sessions.store.database import Store

from ...torture.journals import KINDS, Laid, classes, damage, lay, outcome, read_header

PLACES = (
    "first byte",
    "header",
    "length of an entry",
    "checksum of an entry",
    "inside an entry",
    "between commits",
    "the end",
)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return lay(tmp_path_factory.mktemp("laid"))


@pytest.fixture
def path(laid: Laid, tmp_path: Path) -> Path:
    path = tmp_path / "sessions.duckdb"
    path.write_bytes(laid.store)
    path.with_name("sessions.duckdb.wal").write_bytes(laid.journal)
    return path


def test_it_is_read_as_duckdb_writes_it(path: Path, laid: Laid) -> None:
    (wal,) = journals_of(path)
    found = read_journal(wal, sums=True)
    assert (found.verdict, found.commits, found.end) == ("whole", len(laid.commits), len(laid.journal))
    assert found.header == read_header(laid)
    assert header_for(path) == laid.journal[: found.header]


@pytest.mark.parametrize("size", range(9, 33))
def test_entries_of_any_length_have_the_checksum_that_duckdb_gives_them(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.duckdb"
    with connect(path) as con:
        con.execute("CREATE TABLE t (b BLOB)")
        con.execute("CHECKPOINT")
        con.execute("INSERT INTO t VALUES ($b)", {"b": random.Random(size).randbytes(size)})
        found = read_journal(path.with_name("a.duckdb.wal"), sums=True)
    assert (found.verdict, found.commits) == ("whole", 1)
    assert checksum(b"") == 5381


def test_wherever_it_is_cut_it_is_a_torn_one(tmp_path: Path, laid: Laid) -> None:
    wal = tmp_path / "a.wal"
    ends = {end + shift for end in laid.commits[:4] for shift in range(-25, 25)}
    for size in sorted({*range(0, len(laid.journal), 31), *range(90), *ends}):
        wal.write_bytes(laid.journal[:size])
        found = read_journal(wal)
        assert found.verdict in ("torn", "whole"), size
        assert found.commits == sum(end <= size for end in laid.commits)


def test_a_torn_one_opens_with_every_commit_before(tmp_path: Path, laid: Laid) -> None:
    for size in (5, read_header(laid), laid.commits[9] - 7, laid.commits[9], laid.commits[9] + 3, laid.commits[9] + 40):
        assert outcome(tmp_path / "data", laid, laid.journal[:size]) == "opened up to the cut"


@pytest.mark.parametrize("place", PLACES)
def test_damage_at_any_place_is_refused_and_what_is_before_it_is_saved(tmp_path: Path, laid: Laid, place: str) -> None:
    chance = random.Random(place)
    places = classes(laid)[place]
    for kind in ("flip", "zeros", "noise", "text"):
        journal = damage(laid.journal, kind, chance.choice(places), chance)
        assert outcome(tmp_path / kind, laid, journal, mend=kind == "flip").startswith("refused")


def test_no_flipped_byte_of_the_frame_is_overlooked(tmp_path: Path, laid: Laid) -> None:
    """DuckDB alone opens with fewer rows for one in seven of all bytes."""
    places = classes(laid)
    alone = 0
    for at in (*places["header"], *places["length of an entry"][-32:], *places["the end"]):
        journal = damage(laid.journal, "flip", at, random.Random(0))
        came = outcome(tmp_path / "data", laid, journal, mend=False)
        assert came == "refused", (at, came)
        if alone < 5:
            alone += _opens_with_less(tmp_path / "alone.duckdb", laid, journal)
    assert alone == 5  # otherwise the checks before opening are no longer needed


def _opens_with_less(path: Path, laid: Laid, journal: bytes) -> bool:
    path.write_bytes(laid.store)
    path.with_name(path.name + ".wal").write_bytes(journal)
    try:
        with connect(path, read_only=True) as con:
            found = con.execute("SELECT count(*) FROM tag WHERE session_id = 's'").fetchall()
            return bool(found[0][0] < len(laid.tags))
    except duckdb.Error:
        return False


def test_any_damage_at_any_place(tmp_path: Path, laid: Laid) -> None:
    chance = random.Random(7)
    for _ in range(30):
        at = chance.randrange(len(laid.journal))
        journal = damage(laid.journal, chance.choice(KINDS), at, chance)
        if journal != laid.journal:
            outcome(tmp_path / "data", laid, journal, mend=False)


@pytest.mark.parametrize("kind", ["zeros", "noise", "text"])
def test_one_that_is_something_else_is_kept_and_named(path: Path, laid: Laid, kind: str) -> None:
    size = len(laid.journal)
    content = {"zeros": bytes(size), "noise": random.Random(1).randbytes(size), "text": (b"Dear aunt, " * size)[:size]}
    (wal,) = journals_of(path)
    wal.write_bytes(content[kind])
    for _ in range(2):
        with pytest.raises(StoreDamaged, match=r"sessions\.duckdb\.wal is damaged: its first bytes are") as refused:
            Store.open(path)
        assert "headcode doctor --repair" in refused.value.hint
        assert wal.read_bytes() == content[kind]
    report = repair(path)
    assert not report.sound
    assert f"sessions.duckdb.wal cannot be read: what its {size} bytes held is lost" in report.words
    assert wal.read_bytes() == content[kind]


def test_a_damaged_header_costs_nothing(path: Path, laid: Laid) -> None:
    (wal,) = journals_of(path)
    wal.write_bytes(b"\0" * 4 + laid.journal[4:])
    report = repair(path)
    assert report.sound or "they hold no rows" in report.words
    store = Store.open(Path(report.repaired or ""))
    assert store.rows("SELECT count(*) FROM tag WHERE session_id = 's'") == [(len(laid.tags),)]
    store.close()


def test_the_writes_that_are_lost_are_counted(path: Path, laid: Laid) -> None:
    journal = bytearray(laid.journal)
    journal[laid.commits[9] + 20] ^= 1
    (wal,) = journals_of(path)
    wal.write_bytes(journal)
    report = repair(path)
    assert f"what was written after that is lost ({len(laid.commits) - 10} writes)" in report.words


def test_one_of_another_store_is_refused_and_left_out(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "sessions.duckdb"
    Store.open(other).close()
    path.write_bytes(other.read_bytes())
    with pytest.raises(StoreDamaged, match="WAL does not match"):
        Store.open(path)
    report = repair(path)
    assert "cannot be read" in report.words
    assert not report.sound


def test_the_journal_of_a_checkpoint_is_known(path: Path) -> None:
    (wal,) = journals_of(path)
    content = wal.read_bytes()
    second = path.with_name(path.name + ".wal.checkpoint")
    second.write_bytes(bytes(200))
    with pytest.raises(StoreDamaged, match=r"wal\.checkpoint is damaged"):
        Store.open(path)
    wal.rename(second)
    with pytest.raises(StoreDamaged, match=r"wal\.checkpoint exists, but the earlier journal"):
        Store.open(path)
    assert second.read_bytes() == content
    path.rename(path.with_name("away"))
    with pytest.raises(StoreDamaged, match=r"wal\.checkpoint exists, but its store"):
        Store.open(path)


@pytest.mark.parametrize("point", ["before_truncate", "before_header", "after_free_list_write", "before_wal_finish"])
def test_a_checkpoint_that_ended_anywhere_leaves_every_row(path: Path, laid: Laid, point: str) -> None:
    pid = os.fork()
    if pid == 0:
        con = connect(path, {"storage_compatibility_version": "v2.0.0"})
        con.execute("INSERT INTO tag VALUES ('s', 'tag 30')")
        con.execute(f"SET debug_checkpoint_abort = '{point}'")
        try:
            con.execute("CHECKPOINT")
        except duckdb.FatalException:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert journals_of(path)
    store = Store.open(path)
    assert store.rows("SELECT count(*) FROM tag WHERE session_id = 's'") == [(len(laid.tags) + 1,)]
    store.close()


def test_every_commit_ends_the_same(laid: Laid) -> None:
    assert laid.journal.count(COMMIT) == len(laid.commits)
    assert laid.journal.endswith(COMMIT)
