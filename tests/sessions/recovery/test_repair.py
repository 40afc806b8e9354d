"""Test damaged stores: what can be read is saved into a new one, and the old one is not changed."""

import hashlib
import os
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.config import ProbeConfig
from engine.events import Notice
from sessions.errors import StoreError
from sessions.events import RunEnded, RunQueued, RunStarted, SessionCreated
from sessions.recovery.repair import check, place, repair
from sessions.store.connection import connect
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS
from sessions.store.recorder import EventDraft, Recorder

RUNS = 12
Tables = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, script: Any) -> tuple[bytes, Tables]:
    """Return a store of some megabytes as bytes, and its content."""
    path = tmp_path_factory.mktemp("whole") / "sessions.duckdb"
    store = Store.open(path)
    recorder, chance = Recorder(store), random.Random(3)
    for session in ("s1", "s2"):
        recorder.append([EventDraft(session_id=session, event=SessionCreated(name=session, model="toy", task="ioi"))])
        for number in range(RUNS):
            config = ProbeConfig(seeds=(4, 5))
            steps = script.steps(config, 200)
            noise = [Notice(message=chance.randbytes(3_000).hex()) for _ in range(40)]
            events = [RunQueued(config=config, model="toy"), RunStarted(), script.model_ready(), *steps, *noise]
            events += [script.scores(chance.random(), final=True, n_layers=12, n_heads=12), RunEnded(state="done")]
            recorder.append(
                [EventDraft(session_id=session, run_id=f"{session}-{number}", event=each) for each in events]
            )
        store.checkpoint()
    found = all_of(store)
    store.close()
    return path.read_bytes(), found


@pytest.fixture
def path(kept: tuple[bytes, Tables], tmp_path: Path) -> Path:
    path = tmp_path / "sessions.duckdb"
    path.write_bytes(kept[0])
    return path


def all_of(store: Store) -> Tables:
    return {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in (*PROJECTIONS, "event", "code")}  # noqa: S608


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))


def digest(folder: Path) -> dict[str, str]:
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in folder.iterdir()
        if "repaired" not in each.name
    }


def saved(path: Path) -> tuple[Any, Tables]:
    """Return the report of a repair and the new store's tables; checks that the old files are unchanged."""
    before = digest(path.parent)
    report = repair(path)
    assert digest(path.parent) == before
    assert report.repaired is not None
    store = Store.open(Path(report.repaired))
    found = all_of(store)
    store.close()
    return report, found


def test_a_sound_store_is_found_sound_and_repaired_into_itself(path: Path, kept: tuple[bytes, Tables]) -> None:
    assert check(path).sound
    report, found = saved(path)
    assert report.sound
    assert found == kept[1]


def test_wherever_a_byte_is_flipped_all_that_can_be_read_is_saved(path: Path, kept: tuple[bytes, Tables]) -> None:
    whole, tables = kept
    chance = random.Random(11)
    losses = 0
    for at in [*(chance.randrange(12_288, len(whole)) for _ in range(4)), 20, 4096 + 30, 8192 + 30]:
        path.write_bytes(whole)
        flip(path, at)
        report, found = saved(path)
        for name, rows in found.items():
            assert len(rows) <= len(tables[name])
            if not report.words or name in ("event", "code"):  # an earlier state of the file has earlier rows
                assert not set(map(str, rows)) - set(map(str, tables[name])), (at, name)
        if found["event"] == tables["event"]:
            assert found == tables, at
        else:
            assert not report.sound
            losses += 1
            (log,) = (table for table in report.tables if table.name == "event")
            assert log.kept == len(found["event"])
            assert "lost" in report.words or log.kept < (log.rows or 0)
    assert losses  # some damage hit the log; otherwise nothing was tested


def test_a_table_that_is_only_a_reading_of_the_log_is_made_anew(path: Path, kept: tuple[bytes, Tables]) -> None:
    for at in range(300_000, len(kept[0]), 120_000):
        path.write_bytes(kept[0])
        flip(path, at)
        try:
            looked = check(path)
        except StoreError:
            continue
        hurt = {table.name for table in looked.tables if table.words}
        if hurt and hurt <= set(PROJECTIONS):
            report, found = saved(path)
            assert found == kept[1]
            assert report.sound
            assert {table.name for table in report.tables if table.words == "rebuilt from the log"} == hurt
            return
    pytest.fail("no projected table was hit")


JOURNAL = """
import os, sys
from pathlib import Path
from engine.events import Notice
from sessions.events import SessionCreated
from sessions.store.recorder import EventDraft, Recorder
from sessions.store.database import Store

recorder = Recorder(Store.open(Path(sys.argv[1])))
recorder.append([EventDraft(session_id="new", event=SessionCreated(name="new", model="toy"))])
for number in range(60):
    recorder.append([EventDraft(session_id="new", event=Notice(message=f"{number} " + "x" * 200))])
os._exit(0)
"""


@pytest.fixture
def journal(path: Path) -> Path:
    """Return the journal that a killed host left beside the store."""
    subprocess.run([sys.executable, "-c", JOURNAL, str(path)], check=True, timeout=600)
    wal = path.with_name(path.name + ".wal")
    assert wal.stat().st_size > 10_000
    return wal


def test_a_journal_is_saved_up_to_its_damaged_byte(path: Path, journal: Path, kept: tuple[bytes, Tables]) -> None:
    flip(journal, journal.stat().st_size // 2)
    with pytest.raises(StoreError, match="journal") as refused:
        check(path)
    assert "headcode doctor --repair" in refused.value.hint
    report, found = saved(path)
    assert not report.sound
    assert "damaged at byte" in report.words
    new = [row for row in found["event"] if row[0] == "new"]
    assert 10 < len(new) < 61
    assert [row[1] for row in new] == list(range(1, len(new) + 1))
    assert [row for row in found["event"] if row[0] != "new"] == kept[1]["event"]


def test_a_journal_of_zeros_is_left_out(path: Path, journal: Path, kept: tuple[bytes, Tables]) -> None:
    journal.write_bytes(b"\0" * 4096)
    with pytest.raises(StoreError, match="journal"):
        check(path)
    report, found = saved(path)
    assert found == kept[1]
    assert "cannot be read" in report.words


@pytest.mark.parametrize("share", [0.98, 0.6, 0.2])
def test_a_store_cut_short_is_saved_as_far_as_it_goes_or_refused_in_words(
    path: Path, kept: tuple[bytes, Tables], share: float
) -> None:
    path.write_bytes(kept[0][: int(len(kept[0]) * share)])
    before = path.read_bytes()
    with suppress(StoreError):
        check(path)
    with suppress(StoreError):
        report, found = saved(path)
        assert report.sound == (found == kept[1])
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\0" * 20_000, b"a text\n" * 3_000])
def test_what_never_was_a_store_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for look in (check, repair):
        with pytest.raises(StoreError, match=r"sessions\.duckdb"):
            look(path)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_store_of_the_first_schema_is_repaired_into_todays(tmp_path: Path) -> None:
    import gzip

    old = Path(__file__).parents[1] / "stores" / "schema-1.duckdb.gz"
    path = tmp_path / "sessions.duckdb"
    path.write_bytes(gzip.decompress(old.read_bytes()))
    with connect(path, read_only=True) as con:
        events = con.execute("SELECT count(*) FROM event").fetchall()
        codes = con.execute("SELECT * FROM code ORDER BY ALL").fetchall()
    report, found = saved(path)
    assert report.sound
    assert len(found["event"]) == events[0][0]
    assert found["code"] == codes


def test_the_repaired_store_takes_the_place_and_the_old_one_is_kept(path: Path, journal: Path) -> None:
    flip(journal, 5_000)
    old, old_journal = path.read_bytes(), journal.read_bytes()
    new = Path(repair(path).repaired or "").read_bytes()
    place(path)
    assert path.read_bytes() == new
    assert not journal.exists()
    (aside,) = path.parent.glob("sessions.damaged-*.duckdb")
    assert aside.read_bytes() == old
    assert aside.with_name(aside.name + ".wal").read_bytes() == old_journal
    assert not list(path.parent.glob("*repaired*"))
    Store.open(path).close()


def test_nothing_is_placed_that_was_not_made(path: Path) -> None:
    with pytest.raises(StoreError, match="repaired"):
        place(path)
    assert path.exists()


def test_a_full_disk_leaves_no_half_store(path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from sessions.recovery.repair import repair\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))\n"
        "from sessions.errors import StoreError\n"
        "try: repair(Path(sys.argv[1]))\n"
        "except (StoreError, OSError) as error: print(error); sys.exit(7)\n"
    )
    before = digest(path.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 7, done.stderr
    assert digest(path.parent) == before
    assert len(list(path.parent.iterdir())) == 1
