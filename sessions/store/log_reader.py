"""Read a session's log in pieces, complete or condensed to what still has an effect at one moment."""

from collections.abc import Iterable

import msgspec

from engine.measures import MEASURES
from engine.nodes import NodeId
from engine.steering import format_plan
from sessions.condense import WEIGHED, superseded
from sessions.events import (
    CircuitDeleted,
    CircuitSaved,
    DrawingChanged,
    ExamplesStepped,
    ExplanationRecorded,
    NoteWritten,
    RunEnded,
    RunLabelled,
    RunVerified,
    SessionRenamed,
    SteeringRecorded,
    TagsSet,
    ViewChanged,
)
from sessions.rows import LogPause, Marker, MarkerKind, Timeline
from sessions.store.database import Row, Store
from sessions.store.projections import event_decoder
from sessions.store.queries import session_row
from sessions.store.recorder import log_line

MOST_BYTES = 32 << 20
"""Limit of one piece; a single entry may be larger."""
_ROWS = 256
_CONDENSED_ROWS = 8_192
"""DuckDB decompresses 2,048 payloads to return one: full reads use few, large queries."""
_MARKED: dict[str, MarkerKind] = {
    "examples_set": "edit",
    "examples_stepped": "edit",
    "run_queued": "run",
    "run_started": "run",
    "run_ended": "run",
    "run_verified": "run",
    "steered": "run",
    "look_changed": "cut",
    "drawing_changed": "cut",
    "note_written": "note",
    "run_labelled": "kept",
    "session_renamed": "kept",
    "tags_set": "kept",
    "circuit_kept": "kept",
    "circuit_dropped": "kept",
    "code_explained": "kept",
    "session_imported": "kept",
}
_WORDS = 200


class LogChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some log entries as the JSON text that clients receive."""

    lines: list[bytes]
    up_to: int
    """Every entry up to this one is included, or replaced by one that is."""


def read_chunk(
    store: Store, session_id: str, *, after_seq: int, up_to: int, condensed: bool = False, most_bytes: int = MOST_BYTES
) -> LogChunk:
    """Return the entries with after_seq < seq <= up_to in order, as many as fit into `most_bytes`.

    Condensed leaves out entries that a later one, up to `up_to`, replaces, wherever the piece ends. With most_bytes
    0 nothing is read, so that finding the end of a log does not decompress 2,048 payloads.
    """
    if most_bytes <= 0:
        return LogChunk(lines=[], up_to=after_seq)
    dropped = _dropped(store, session_id, after_seq, up_to) if condensed else []
    lines: list[bytes] = []
    left, last = min(most_bytes, MOST_BYTES), after_seq
    n_rows = _CONDENSED_ROWS if condensed else _ROWS
    while True:
        rows = _kept_rows(store, session_id, last, up_to, dropped, n_rows)
        for session, seq, at_us, run, payload in rows:
            line = log_line(session, seq, at_us, run, payload)
            left -= len(line)
            if left < 0 and lines:
                return LogChunk(lines=lines, up_to=last)
            lines.append(line)
            last = seq
        if len(rows) < n_rows:
            return LogChunk(lines=lines, up_to=max(up_to, after_seq))


def seq_at(store: Store, session_id: str, at_us: int) -> int:
    """Return the last entry recorded up to that time; 0 if there is none."""
    found = store.one(
        "SELECT max(seq) FROM event WHERE session_id = $session AND at_us <= $at",
        {"session": session_id, "at": at_us},
    )
    return 0 if found is None or found[0] is None else int(found[0])


def timeline(store: Store, session_id: str, *, pause_us: int, last_seq: int, run_id: str | None = None) -> Timeline:
    """Return when the session's log begins and ends, its markers, and the gaps longer than `pause_us`."""
    of = {"session": session_id, "last": last_seq}
    span = store.one("SELECT min_by(at_us, seq), max_by(at_us, seq) FROM event WHERE session_id = $session "
                     "AND seq <= $last", of)  # fmt: skip
    gaps = store.rows(
        "SELECT seq, before, at_us FROM (SELECT seq, at_us, lag(at_us) OVER (ORDER BY seq) AS before FROM event "
        "WHERE session_id = $session AND seq <= $last) WHERE at_us - before > $pause OR at_us < before ORDER BY seq",
        of | {"pause": pause_us},
    )
    first_us, last_us = span if span is not None and span[0] is not None else (0, 0)
    return Timeline(
        session=session_row(store, session_id),
        first_us=first_us,
        last_us=last_us,
        last_seq=last_seq,
        markers=tuple(_markers(store, session_id, last_seq)),
        pauses=tuple(LogPause(seq=seq, from_us=before, to_us=at) for seq, before, at in gaps),
        run_id=run_id,
    )


def _dropped(store: Store, session_id: str, after_seq: int, up_to: int) -> list[int]:
    index = store.rows(
        "SELECT seq, run_id, kind FROM event WHERE session_id = $session AND seq > $after AND seq <= $to "
        "AND kind IN (SELECT unnest($kinds))",
        {"session": session_id, "after": after_seq, "to": up_to, "kinds": list(WEIGHED)},
    )
    return superseded((int(seq), run, kind) for seq, run, kind in index)


def _kept_rows(store: Store, session_id: str, after_seq: int, up_to: int, dropped: list[int], n_rows: int) -> list[Row]:
    without = "AND seq NOT IN (SELECT unnest($dropped))" if dropped else ""
    parameters: dict[str, object] = {"session": session_id, "after": after_seq, "to": up_to, "rows": n_rows}
    if dropped:
        parameters["dropped"] = dropped
    return store.rows(
        "SELECT session_id, seq, at_us, run_id, payload FROM event "  # noqa: S608  # without is one of two texts of ours
        f"WHERE session_id = $session AND seq > $after AND seq <= $to {without} ORDER BY seq LIMIT $rows",
        parameters,
    )


class _Examples(msgspec.Struct):
    """The fields of an example set that are needed to count it."""

    class One(msgspec.Struct):
        """One example's polarity, and whether it is enabled."""

        polarity: str
        enabled: bool = True

    examples: list[One]


_examples = msgspec.json.Decoder(_Examples)


def _markers(store: Store, session_id: str, last_seq: int) -> Iterable[Marker]:
    rows = store.rows(
        "SELECT e.seq, e.at_us, e.kind, e.run_id, r.number, e.payload "
        "FROM event e LEFT JOIN run r ON r.run_id = e.run_id "
        "WHERE e.session_id = $session AND e.seq <= $last AND e.kind IN (SELECT unnest($kinds)) ORDER BY e.seq",
        {"session": session_id, "last": last_seq, "kinds": list(_MARKED)},
    )
    versions = 0
    for seq, at_us, kind, run_id, number, payload in rows:
        if kind == "examples_set":
            versions += 1
            words = _describe_examples(payload, versions)
        else:
            words = _describe(kind, payload, number)
        yield Marker(
            seq=seq,
            at_us=at_us,
            kind=_MARKED[kind],
            words=words[:_WORDS],
            run_id=run_id,
            number=number,
            asked=kind == "run_queued",
            ends=kind == "run_ended",
        )


def _describe_examples(payload: str, version: int) -> str:
    sides = [one.polarity for one in _examples.decode(payload).examples if one.enabled]
    positive = sides.count("positive")
    return f"examples: {positive} + {len(sides) - positive}" + ("" if version == 1 else f", version {version}")


def _describe(kind: str, payload: str, number: int | None) -> str:
    """Describe an event; user-written texts are included unchanged."""
    if kind in ("run_queued", "run_started", "session_imported"):
        descriptions = {"run_queued": f"run {number} asked for", "run_started": f"run {number} begins"}
        return descriptions.get(kind, "imported from a bundle")
    match event_decoder.decode(payload):
        case ExamplesStepped() as event:
            return f"{'undo' if event.by < 0 else 'redo'}: examples of version {event.version}"
        case RunEnded() as event:
            return f"run {number} {event.state}" + (f": {event.failure.message}" if event.failure is not None else "")
        case RunVerified() as event:
            return f"run {number} verified: {event.verdict}"
        case ViewChanged() as event:
            title = next((each.title for each in MEASURES if each.id == event.measure), event.measure)
            return f"cut of run {number}: {event.cut} heads by {title}"
        case ExplanationRecorded() as event:
            found = event.explanation
            return f"code {found.code} of {NodeId(found.layer, found.head)} explained"
        case DrawingChanged() as event:
            named = ", ".join(group.name for group in event.groups)
            return f"drawing of run {number}: {event.most} edges by {event.weight}" + (f"; {named}" if named else "")
        case SteeringRecorded() as event:
            return f"run {number} steered: {format_plan(event.plan)}"
        case NoteWritten() as event:
            about = f" on {NodeId(*event.head)}" if event.head is not None else ""
            return f"note{about}: {event.text}"
        case SessionRenamed() as event:
            return f"renamed: {event.name}"
        case RunLabelled() as event:
            tags = "".join(f" #{tag}" for tag in event.tags)
            return f"run {number} named {event.name or number}{tags}"
        case TagsSet() as event:
            return f"tags: {', '.join(event.tags) or 'none'}"
        case CircuitSaved() as event:
            return f"circuit {event.name}: {len(event.heads)} heads"
        case CircuitDeleted() as event:
            return f"circuit {event.name} dropped"
    return kind
