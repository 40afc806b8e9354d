"""Compare the store with what the clients received."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from sessions.events import ExamplesSet, LogEntry, RunEnded, RunQueued

from .commands import places_of
from .journal import read_journal, sum_of


def compare(home: Path, n_clients: int) -> dict[str, Any]:
    """Compare the store with the journals of all clients; open it and close it again."""
    from sessions.services.run_records import interrupt_open_runs
    from sessions.store.database import Store
    from sessions.store.migrations import PROJECTIONS
    from sessions.store.projections import event_decoder
    from sessions.store.recorder import Recorder, rebuild

    begun = time.monotonic()
    store = Store.open(places_of(home).store)
    opened_s = time.monotonic() - begun
    interrupt_open_runs(Recorder(store))
    stored: dict[tuple[str, int], int] = {}
    tokens: Counter[tuple[str, str]] = Counter()
    queued: Counter[tuple[str, str]] = Counter()
    ended: Counter[str] = Counter()
    faults: list[str] = []
    lost, doubled, other = 0, 0, 0
    sql = "SELECT session_id, seq, at_us, run_id, payload FROM event ORDER BY session_id, seq"
    expected_seq: Counter[str] = Counter()
    for session, seq, at_us, run, payload in store.rows(sql):
        event = event_decoder.decode(payload)
        entry = LogEntry(session_id=session, seq=seq, at_us=at_us, run_id=run, event=event)
        stored[session, seq] = sum_of(entry)
        expected_seq[session] += 1
        if seq != expected_seq[session]:
            faults.append(f"{session} has no entry {expected_seq[session]}")
        match event:
            case ExamplesSet() if event.examples and event.examples[0].prompt.startswith("token "):
                tokens[session, event.examples[0].prompt.rsplit(" ", 2)[0]] += 1
            case RunQueued():
                queued[session, run or ""] += 1
            case RunEnded():
                ended[run or ""] += 1
    names = {str(name) for (name,) in store.rows("SELECT name FROM session")}
    acknowledged = Counter[str]()
    for number in range(n_clients):
        for line in read_journal(home / f"journal-{number}"):
            acknowledged[line[0]] += 1
            match line:
                case ["made", token, _]:
                    lost += token not in names
                case ["set", session, token]:
                    lost += tokens[session, token] == 0
                case ["queued", session, run]:
                    lost += queued[session, run] == 0
                case ["told", session, seq, crc]:
                    lost += (session, seq) not in stored
                    other += stored.get((session, seq), crc) != crc
                case ["gap", session, before, after]:
                    faults.append(f"{session}: told {after} after {before}")
                case ["store", words]:
                    faults.append(f"client {number}: {words}")
    doubled += sum(n > 1 for n in tokens.values()) + sum(n > 1 for n in queued.values())
    doubled += sum(n > 1 for n in ended.values())
    unended = sum(ended[run] == 0 for _, run in queued)
    tables = {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in PROJECTIONS}  # noqa: S608
    rebuild(store)
    differ = [name for name in PROJECTIONS if store.rows(f"SELECT * FROM {name} ORDER BY ALL") != tables[name]]  # noqa: S608
    size = store.size()
    store.close()
    crashed = [path.name for path in home.glob("client-*.err") if path.stat().st_size]
    faults += [f"{name} is not empty" for name in crashed]
    return {
        "acknowledged_writes": acknowledged["made"] + acknowledged["set"] + acknowledged["queued"],
        "told_entries": acknowledged["told"],
        "stored_entries": len(stored),
        "runs": len(queued),
        "lost": lost,
        "doubled": doubled,
        "told_otherwise": other,
        "runs_without_end": unended,
        "tables_unlike_the_log": differ,
        "faults": faults,
        "last_open_s": round(opened_s, 3),
        "store_bytes": size,
    }


def sound(report: dict[str, Any]) -> bool:
    """Return whether nothing was lost, repeated or changed, and no process failed."""
    bad = ("lost", "doubled", "told_otherwise", "runs_without_end", "tables_unlike_the_log", "faults")
    return not any(report[name] for name in bad)
