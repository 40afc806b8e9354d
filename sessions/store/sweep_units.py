"""Store a sweep's units, and read them with their runs."""

from collections.abc import Collection, Sequence

import duckdb
import msgspec

from engine.errors import Failure
from engine.planning.run_options import RunOptions
from engine.sweeps.plan import ExampleSource, Labels, PlannedUnit
from sessions.errors import NoSuchRecord
from sessions.events import LogEntry, SweepPlanned
from sessions.rows import SweepRow, SweepUnitRow
from sessions.store.database import Store, append_rows
from sessions.store.queries import example_rows
from sessions.store.views import SWEEP_UNITS

_CANDIDATES = 5
LabelSet = frozenset[tuple[str, str]]
_UNITS = f"""
    SELECT u.unit_key, u.labels, u.model, u.draw, u.session_id, u.run_id, u.run_session_id, u.run_session, u.number,
           u.state, u.failure, u.started_us, u.ended_us, coalesce(u.attempts, 0), u.seq, u.place
    FROM ({SWEEP_UNITS}) AS u WHERE u.sweep_id = $sweep ORDER BY u.session_id, u.seq, u.place
"""  # noqa: S608  # a query of our own


class StoredUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit as it was planned, with everything that its run needs."""

    session_id: str
    unit: PlannedUnit
    source: ExampleSource
    """With its examples."""
    options: RunOptions
    """With the unit's model."""


def add_units(con: duckdb.DuckDBPyConnection, entry: LogEntry, event: SweepPlanned) -> None:
    """Add a plan's units in place of those of the sweep in this session with the same labels."""
    place: dict[str, object] = {"session": entry.session_id, "sweep": event.sweep_id}
    labels = [_labels_text(unit.labels) for unit in event.plan.units]
    con.execute("DELETE FROM sweep WHERE session_id = $session AND sweep_id = $sweep", place)
    con.execute(
        "DELETE FROM sweep_unit WHERE session_id = $session AND sweep_id = $sweep AND "
        "CAST(labels AS VARCHAR) IN (SELECT unnest($labels))",
        {**place, "labels": labels},
    )
    append_rows(con, "sweep", [(entry.session_id, event.sweep_id, event.plan.name, entry.at_us)])
    rows = [
        (entry.session_id, event.sweep_id, entry.seq, index, unit.key, text, unit.model, unit.draw)
        for index, (unit, text) in enumerate(zip(event.plan.units, labels, strict=True))
    ]
    append_rows(con, "sweep_unit", rows)


def list_sweeps(store: Store) -> list[SweepRow]:
    """Return the sweeps, the most recently planned first; the id breaks ties."""
    rows = store.rows(
        "SELECT sweep_id, name, epoch_us(planned), units, done, failed, running, interrupted, sessions FROM sweeps "
        "ORDER BY planned DESC, sweep_id DESC"
    )
    return [SweepRow(**dict(zip(SweepRow.__struct_fields__, row, strict=True))) for row in rows]


def find_sweep(store: Store, reference: str) -> str:
    """Resolve an id, a name, `latest`, or the beginning of an id to a sweep id. Raises NoSuchRecord with candidates."""
    rows = store.rows("SELECT sweep_id, name FROM sweeps ORDER BY planned DESC, sweep_id DESC")
    exact = [sweep_id for sweep_id, name in rows if reference in (sweep_id, name)]
    if exact:
        return str(exact[0])
    if reference == "latest" and rows:
        return str(rows[0][0])
    matches = [(sweep_id, name) for sweep_id, name in rows if reference and sweep_id.startswith(reference)]
    if len(matches) == 1:
        return str(matches[0][0])
    if matches:
        listed = ", ".join(f"{sweep_id} ({name})" for sweep_id, name in matches[:_CANDIDATES])
        raise NoSuchRecord(f"{reference!r} begins several sweep ids: {listed}.", hint="Give more of the id.")
    there = f"The latest: {', '.join(repr(name) for _, name in rows[:3])}. " if rows else ""
    raise NoSuchRecord(f"There is no sweep {reference[:80]!r}.", hint=f"{there}headcode sweep list shows all.")


def sweep_row(store: Store, sweep_id: str) -> SweepRow:
    """Return the row of an existing sweep. Raises NoSuchRecord for one whose sessions are all in the trash."""
    for row in list_sweeps(store):
        if row.sweep_id == sweep_id:
            return row
    raise NoSuchRecord("All sessions of this sweep are in the trash.", hint="headcode sessions list --trash")


def unit_rows(store: Store, sweep_id: str) -> list[SweepUnitRow]:
    """Return the units of a sweep in the order in which they were planned, each with its best run.

    That is the newest that is done, else the newest.
    """
    return [
        SweepUnitRow(
            key=row[0],
            labels=_labels(row[1]),
            model=row[2],
            draw=row[3],
            run_id=row[5],
            session_id=row[6] or row[4],
            session=row[7] or "",
            number=row[8],
            state=row[9] or "waiting",
            failure=None if row[10] is None else msgspec.json.decode(row[10], type=Failure),
            seconds=None if row[11] is None or row[12] is None else (row[12] - row[11]) / 1e6,
            attempts=row[13],
        )
        for row in store.rows(_UNITS, {"sweep": sweep_id})
    ]


def stored_units(store: Store, sweep_id: str, keys: Collection[str]) -> list[StoredUnit]:
    """Return the units with these keys as they were planned, one for each key, in their order."""
    plans: dict[tuple[str, int], SweepPlanned] = {}
    sources: dict[str, ExampleSource] = {}
    found: dict[str, StoredUnit] = {}
    for row in store.rows(_UNITS, {"sweep": sweep_id}):
        key, session_id, seq, place = row[0], row[4], row[14], row[15]
        if key not in keys or key in found:
            continue
        if (session_id, seq) not in plans:
            plans[session_id, seq] = _plan(store, session_id, seq)
        plan = plans[session_id, seq].plan
        unit = plan.units[place]
        source = plan.source_of(unit)
        hashed = source.content_hash
        if hashed:
            if hashed not in sources:
                sources[hashed] = msgspec.structs.replace(source, examples=example_rows(store, hashed))
            source = sources[hashed]
        found[key] = StoredUnit(session_id=session_id, unit=unit, source=source, options=plan.options_of(unit))
    return list(found.values())


def done_keys(store: Store, keys: Sequence[str]) -> set[str]:
    """Return those of these keys that a finished run outside the trash has."""
    rows = store.rows(
        "SELECT DISTINCT r.unit_key FROM run AS r JOIN session AS s ON s.session_id = r.session_id "
        "WHERE r.unit_key IN (SELECT unnest($keys)) AND r.state = 'done' AND s.trashed_us IS NULL",
        {"keys": list(keys)},
    )
    return {str(key) for (key,) in rows}


def sweep_sessions(store: Store, sweep_id: str) -> list[tuple[str, str, int]]:
    """Return the living sessions of a sweep as (id, name, units), in the order of their creation."""
    rows = store.rows(
        "SELECT s.session_id, s.name, (SELECT count(*) FROM sweep_unit AS u WHERE u.session_id = s.session_id "
        "AND u.sweep_id = w.sweep_id) FROM sweep AS w JOIN session AS s ON s.session_id = w.session_id "
        "WHERE w.sweep_id = $sweep AND s.trashed_us IS NULL ORDER BY s.created_us, s.session_id",
        {"sweep": sweep_id},
    )
    return [(str(session_id), str(name), int(n)) for session_id, name, n in rows]


def sweep_named(store: Store, name: str) -> str | None:
    """Return the id of the newest sweep of that name; None if there is none."""
    sql = "SELECT sweep_id FROM sweeps WHERE name = $name ORDER BY planned DESC, sweep_id DESC"
    row = store.one(sql, {"name": name})
    return None if row is None else str(row[0])


def session_source(store: Store, session_id: str, sweep_id: str) -> ExampleSource:
    """Return the source of the sweep's units in the session, without its examples."""
    seq = store.rows(
        "SELECT max(seq) FROM event WHERE session_id = $session AND kind = 'sweep_planned' "
        "AND payload->>'$.sweep_id' = $sweep",
        {"session": session_id, "sweep": sweep_id},
    )[0][0]
    return _plan(store, session_id, seq).plan.sources[0]


def unit_places(store: Store, sweep_id: str) -> tuple[set[tuple[str, LabelSet]], dict[LabelSet, str]]:
    """Return the (key, labels) of the sweep's units, and the session of each by its labels."""
    by_key: set[tuple[str, LabelSet]] = set()
    by_labels: dict[LabelSet, str] = {}
    for row in store.rows(_UNITS, {"sweep": sweep_id}):
        labels = frozenset(_labels(row[1]))
        by_key.add((row[0], labels))
        by_labels[labels] = row[4]
    return by_key, by_labels


def _plan(store: Store, session_id: str, seq: int) -> SweepPlanned:
    payload = store.rows(
        "SELECT payload FROM event WHERE session_id = $session AND seq = $seq", {"session": session_id, "seq": seq}
    )[0][0]
    event = msgspec.json.decode(payload, type=SweepPlanned)
    assert isinstance(event, SweepPlanned)
    return event


def _labels_text(labels: Labels) -> str:
    return msgspec.json.encode(dict(labels)).decode()


def _labels(text: str) -> Labels:
    return tuple(msgspec.json.decode(text, type=dict[str, str]).items())
