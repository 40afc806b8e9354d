"""The journal is written into the file in quiet moments, so that a killed host's successor opens at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.events import Notice
from sessions import ledger as ledger_module
from sessions.ledger import Ledger
from sessions.log import SessionCreated
from sessions.record import Draft, Recorded
from sessions.store import Store


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_long_journal_goes_into_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until, quiet: bool
) -> None:
    monkeypatch.setattr(ledger_module, "_QUIET_S", 0.02 if quiet else 1e6)
    monkeypatch.setattr(ledger_module, "_MANY", 30)
    monkeypatch.setattr(ledger_module, "_TOO_MANY", 1e6 if quiet else 60)
    store = Store.open(tmp_path / "sessions.duckdb")
    wal = tmp_path / "sessions.duckdb.wal"
    told: list[Recorded] = []
    thread = ThreadPoolExecutor(1)
    ledger = Ledger(store, thread, told.extend)
    try:
        await ledger.append(Draft(session_id="s", event=SessionCreated(name="s", model="toy")))
        for number in range(25):
            await ledger.append(Draft(session_id="s", event=Notice(message=str(number))))
        size = wal.stat().st_size
        assert size > 2_000
        for number in range(50):
            await ledger.append(Draft(session_id="s", event=Notice(message=str(number))))
        await until(lambda: not wal.exists() or wal.stat().st_size < size)
        await ledger.append(Draft(session_id="s", event=Notice(message="after")))
    finally:
        await ledger.close()
        thread.shutdown()
        store.close()
    again = Store.open(tmp_path / "sessions.duckdb")
    assert again.rows("SELECT count(*), max(seq) FROM event") == [(77, 77)]
    assert [each.entry.seq for each in told] == list(range(1, 78))
    again.close()
