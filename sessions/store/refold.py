"""Rebuild a store's effects and references from its log.

Earlier versions stored only the last measurement of each method, and compared every run of a task's session with that
task's circuit.
"""

import duckdb

from sessions.events import LogEntry
from sessions.store.projections import Projector, event_decoder

_BATCH = 200
_NEXT = """
    SELECT session_id, seq, at_us, run_id, payload FROM event
    WHERE session_id = $session AND seq > $after AND kind IN ('examples_made', 'reference_known', 'cause_scored')
    ORDER BY seq LIMIT $most
"""


def refold(con: duckdb.DuckDBPyConnection) -> int:
    """Rebuild those rows inside the caller's transaction; return the number of entries read."""
    con.execute("DELETE FROM cause")
    con.execute("UPDATE run SET reference = NULL, offered = NULL, made = NULL")
    projector, total = Projector(), 0
    for (session,) in con.execute("SELECT DISTINCT session_id FROM event ORDER BY session_id").fetchall():
        after = 0
        while rows := con.execute(_NEXT, {"session": session, "after": after, "most": _BATCH}).fetchall():
            projector.apply(con, [_entry(*row) for row in rows])
            after, total = rows[-1][1], total + len(rows)
    return total


def _entry(session_id: str, seq: int, at_us: int, run_id: str | None, payload: str) -> LogEntry:
    return LogEntry(session_id=session_id, seq=seq, at_us=at_us, run_id=run_id, event=event_decoder.decode(payload))
