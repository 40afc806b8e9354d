"""Test that the journal is written into the file while idle, so that the next host opens it at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.events import Notice
from sessions.errors import StoreLost
from sessions.events import SessionCreated
from sessions.services import writer as writer_module
from sessions.services.writer import StoreWriter
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, RecordedEntry


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_long_journal_goes_into_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until, quiet: bool
) -> None:
    monkeypatch.setattr(writer_module, "_QUIET_S", 0.02 if quiet else 1e6)
    monkeypatch.setattr(writer_module, "_CHECKPOINT_AFTER", 30)
    monkeypatch.setattr(writer_module, "_CHECKPOINT_LATEST", 1e6 if quiet else 60)
    store = Store.open(tmp_path / "sessions.duckdb")
    wal = tmp_path / "sessions.duckdb.wal"
    output: list[RecordedEntry] = []
    thread = ThreadPoolExecutor(1)
    ledger = StoreWriter(store, thread, output.extend)
    try:
        await ledger.append(EventDraft(session_id="s", event=SessionCreated(name="s", model="toy")))
        for number in range(25):
            await ledger.append(EventDraft(session_id="s", event=Notice(message=str(number))))
        size = wal.stat().st_size
        assert size > 2_000
        for number in range(50):
            await ledger.append(EventDraft(session_id="s", event=Notice(message=str(number))))
        await until(lambda: not wal.exists() or wal.stat().st_size < size)
        await ledger.append(EventDraft(session_id="s", event=Notice(message="after")))
    finally:
        await ledger.close()
        thread.shutdown()
        store.close()
    again = Store.open(tmp_path / "sessions.duckdb")
    assert again.rows("SELECT count(*), max(seq) FROM event") == [(77, 77)]
    assert [each.entry.seq for each in output] == list(range(1, 78))
    again.close()


async def test_a_worn_database_is_opened_anew_in_a_quiet_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until
) -> None:
    monkeypatch.setattr(writer_module, "_QUIET_S", 0.02)
    monkeypatch.setattr("sessions.store.memory_growth._RENEW_AT", 40)
    monkeypatch.setattr(writer_module, "_RENEW_LATEST", 1e6)
    store = Store.open(tmp_path / "sessions.duckdb")
    store.memory_growth.asked = 0
    thread = ThreadPoolExecutor(1)
    ledger = StoreWriter(store, thread, lambda _: None)
    before = store.connection()
    try:
        await ledger.append(EventDraft(session_id="s", event=SessionCreated(name="s", model="toy")))
        assert await ledger.read(lambda store: store.connection() is before)
        for _ in range(50):
            await ledger.read(lambda store: store.rows("SELECT 1"))
        await until(lambda: store.memory_growth.asked < 10)
        assert await ledger.read(lambda store: store.connection() is not before)
        await ledger.append(EventDraft(session_id="s", event=Notice(message="y")))
        assert store.rows("SELECT count(*), max(seq) FROM event") == [(2, 2)]
    finally:
        await ledger.close()
        thread.shutdown()
        store.close()


def test_a_database_is_not_opened_anew_while_somebody_has_a_cursor(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "sessions.duckdb")
    cursor, before = store.cursor(), store.connection()
    store.memory_growth.asked = 12_000  # far beyond every limit
    store.renew()
    assert store.memory_growth.ratio < 2  # not retried at every change
    store.renew()
    assert store.memory_growth.ratio < 1  # nor at every idle moment
    assert cursor.execute("SELECT count(*) FROM event").fetchall() == [(0,)]
    assert store.connection() is before
    cursor.close()
    del cursor
    store.renew()
    assert store.connection() is not before
    assert store.rows("SELECT count(*) FROM event") == [(0,)]
    store.close()


def test_another_file_in_its_place_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "sessions.duckdb"
    store = Store.open(path)
    other = Store.open(tmp_path / "other.duckdb")
    other.close()
    (tmp_path / "other.duckdb").replace(path)
    with pytest.raises(StoreLost):
        store.renew()
    store.close()
