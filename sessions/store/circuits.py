"""Read saved circuits from the store."""

import msgspec

from sessions.errors import NoSuchRecord
from sessions.rows import CircuitRow, RunRow
from sessions.store.database import Store

_CIRCUIT = """
    SELECT c.name, c.session_id, s.name, c.run_id, c.heads, c.source, c.kept_us
    FROM circuit c JOIN session s ON s.session_id = c.session_id
"""


def circuits_of(store: Store, session_id: str | None) -> list[CircuitRow]:
    """Return the saved circuits of a session (None: of all outside the trash), the oldest first."""
    where = "WHERE c.session_id = $session " if session_id is not None else "WHERE s.trashed_us IS NULL "
    rows = store.rows(
        _CIRCUIT + where + "ORDER BY c.kept_us, c.session_id, c.name",
        {} if session_id is None else {"session": session_id},
    )
    return [
        CircuitRow(
            name=row[0],
            session_id=row[1],
            session=row[2],
            run_id=row[3],
            heads=msgspec.json.decode(row[4], type=tuple[tuple[int, int], ...]),
            source=row[5],
            kept_us=row[6],
        )
        for row in rows
    ]


def find_circuit(store: Store, name: str, *, session_id: str | None = None) -> CircuitRow:
    """Return a saved circuit: NAME in the given session, else the only one of that name; or SESSION/NAME.

    Raises NoSuchRecord, which lists the existing circuits.
    """
    every = circuits_of(store, None)
    for row in every:
        if row.name == name and row.session_id == session_id:
            return row
    named = [row for row in every if row.name == name]
    if len(named) == 1:
        return named[0]
    if named:
        there = ", ".join(f"circuit:{row.session}/{row.name}" for row in named[:5])
        raise NoSuchRecord(f"Several sessions have a circuit {name!r}.", hint=f"Name the session, too: {there}.")
    for row in every:
        session, slash, own = name.partition("/")
        while slash:
            if row.name == own and session in (row.session, row.session_id):
                return row
            more, slash, own = own.partition("/")
            session = f"{session}/{more}"
    there = ", ".join(repr(row.name) for row in every[-5:])
    raise NoSuchRecord(
        f"There is no circuit {name!r}.",
        hint=f"Saved circuits: {there}; headcode circuits list shows all."
        if there
        else "headcode circuits keep saves one.",
    )


def stored_circuit(store: Store, run: RunRow, *, instead: str) -> tuple[tuple[int, int], ...]:
    """Return the run's circuit. Raises NoSuchRecord without one; `instead`: how to name nodes."""
    stored = store.rows("SELECT circuit FROM run WHERE run_id = $run", {"run": run.run_id})[0][0]
    nodes = msgspec.json.decode(stored, type=tuple[tuple[int, int], ...]) if stored else ()
    if not nodes:
        raise NoSuchRecord(f"Run {run.number} has no circuit.", hint=f"Name heads: {instead}")
    return nodes
