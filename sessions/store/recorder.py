"""Record events: number, log and project them in one transaction."""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from engine.events import ArrayReady
from sessions.errors import BadArray, StoreUncertain
from sessions.events import EVENT_VERSION, AnyEvent, LogEntry
from sessions.files.array_files import CodeRows, read_codes
from sessions.store.database import Store, append_rows
from sessions.store.projections import Projector, clear, event_decoder

_REBUILD_BATCH = 2_000
_CODES_BATCH = 500
_REMEMBERED = 1_000
"""Sessions whose last number is cached; others are looked up."""


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An event to record; the recorder adds its number and time."""

    session_id: str
    run_id: str | None = None
    event: AnyEvent
    spool: Path | None = None
    """Folder with the arrays that an ArrayReady announces."""
    at_us: int | None = None
    """When it happened, if another machine recorded it; None: now."""
    payload: bytes = b""
    """The event as the store holds it; made when the draft is created."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "payload", msgspec.json.encode(self.event))


class RecordedEntry(msgspec.Struct, frozen=True):
    """A stored entry with the bytes that subscribers receive."""

    entry: LogEntry
    payload: bytes
    line: bytes


class _RawLogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A LogEntry whose event is still the stored text."""

    session_id: str
    seq: int
    at_us: int
    run_id: str | None
    event: msgspec.Raw


class SharedTransaction:
    """A transaction shared by several appends. It begins with the first append: reading needs none."""

    def __init__(self, store: Store, stack: ExitStack) -> None:
        self._store = store
        self._stack = stack
        self._con: duckdb.DuckDBPyConnection | None = None
        self.writes = 0
        """Appends begun, whether or not they succeeded."""
        self.last: LogEntry | None = None

    def connection(self) -> duckdb.DuckDBPyConnection:
        """Return the connection with the transaction open. Raises StoreError."""
        if self._con is None:
            self._con = self._stack.enter_context(self._store.transaction())
        return self._con

    @property
    def sound(self) -> bool:
        """Return whether the transaction can still be committed: some errors, even of a query, prevent it."""
        if self._con is None:
            return True
        try:
            self._con.execute("SELECT 1").fetchall()
        except duckdb.Error:
            return False
        return self._con is self._store.connection()


class Recorder:
    """The only writer of a store's log."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._projector = Projector()
        self._last: dict[str, int] = {}
        self._clock_us = 0
        self._shared: SharedTransaction | None = None

    @contextmanager
    def shared_transaction(self) -> Iterator[SharedTransaction]:
        """Commit everything appended inside the block at its end, or nothing of it.

        Raises what Store.transaction raises; StoreUncertain only if the entries are not in the store.
        """
        assert self._shared is None
        shared_transaction: SharedTransaction | None = None
        complete = False
        try:
            with ExitStack() as stack:
                shared_transaction = self._shared = SharedTransaction(self.store, stack)
                yield shared_transaction
                complete = True
        except StoreUncertain:
            self.forget()
            last = shared_transaction.last if shared_transaction is not None and complete else None
            if last is None or self.last_seq(last.session_id) < last.seq:
                raise
        except BaseException:
            self.forget()
            raise
        finally:
            self._shared = None

    def append(self, drafts: Sequence[EventDraft]) -> list[RecordedEntry]:
        """Append the drafts and return them as entries: committed, or written inside `shared_transaction`.

        Raises StoreError or BadArray. Then none is written, and the shared transaction can no longer be committed.
        """
        if not drafts:
            return []
        codes = {index: _codes(draft) for index, draft in enumerate(drafts) if draft.spool is not None}
        if self._shared is None:
            with self.shared_transaction() as shared_transaction:
                return self._append(shared_transaction, drafts, codes)
        return self._append(self._shared, drafts, codes)

    def adopt(
        self,
        batches: Iterable[Sequence[tuple[LogEntry, bytes]]],
        codes: Iterable[tuple[str, Iterable[tuple[int, int, list[int]]]]],
        last: EventDraft,
    ) -> list[RecordedEntry]:
        """Store a log recorded elsewhere with its numbers and times, then `last`; all or nothing.

        The entries come with their stored events, the codes as (run, (seed, example, codes)). Returns `last`
        only: the others can have no subscribers. Raises StoreError.
        """
        recorded: list[RecordedEntry] = []
        try:
            with self.store.transaction() as con:
                for batch in batches:
                    append_rows(con, "event", [_log_row(RecordedEntry(*each, line=b"")) for each in batch])
                    self._projector.apply(con, [entry for entry, _ in batch])
                    self._last[last.session_id] = batch[-1][0].seq
                for run_id, rows in codes:
                    left = iter(rows)
                    while part := [(run_id, *row) for row in itertools.islice(left, _CODES_BATCH)]:
                        append_rows(con, "code", part)
                recorded.append(self._number(last))
                append_rows(con, "event", [_log_row(each) for each in recorded])
                self._projector.apply(con, [recorded[0].entry])
        except StoreUncertain:
            self.forget()
            if not recorded or self.last_seq(last.session_id) < recorded[0].entry.seq:
                raise
        except BaseException:
            self.forget()
            raise
        return recorded

    def last_seq(self, session_id: str) -> int:
        """Return the number of the session's last entry; 0 if there is none."""
        if session_id not in self._last:
            if len(self._last) >= _REMEMBERED:
                del self._last[next(iter(self._last))]
            row = self.store.one("SELECT max(seq) FROM event WHERE session_id = $session", {"session": session_id})
            self._last[session_id] = 0 if row is None or row[0] is None else int(row[0])
        return self._last[session_id]

    def forget(self) -> None:
        """Clear the caches."""
        self._last.clear()
        self._projector.forget()

    def _number(self, draft: EventDraft) -> RecordedEntry:
        seq = self.last_seq(draft.session_id) + 1
        self._last[draft.session_id] = seq
        self._clock_us = max(self._clock_us, time.time_ns() // 1000)
        at_us = self._clock_us if draft.at_us is None else draft.at_us
        place: Any = {"session_id": draft.session_id, "seq": seq, "at_us": at_us, "run_id": draft.run_id}
        line = msgspec.json.encode(_RawLogEntry(event=msgspec.Raw(draft.payload), **place))
        return RecordedEntry(LogEntry(event=draft.event, **place), draft.payload, line)

    def _append(
        self, shared_transaction: SharedTransaction, drafts: Sequence[EventDraft], codes: dict[int, CodeRows | None]
    ) -> list[RecordedEntry]:
        recorded = [self._number(draft) for draft in drafts]
        shared_transaction.writes += 1
        shared_transaction.last = recorded[-1].entry
        con = shared_transaction.connection()
        append_rows(con, "event", [_log_row(each) for each in recorded])
        self._projector.apply(con, [each.entry for each in recorded])
        for index, found in codes.items():
            if found is None:
                continue
            run_id = drafts[index].run_id
            row = con.execute("SELECT config->>'$.seeds' FROM run WHERE run_id = $run", {"run": run_id}).fetchall()
            seeds = msgspec.json.decode(row[0][0], type=list[int]) if row else []
            if len(seeds) != 1 + max(seed for seed, _, _ in found.rows):
                raise BadArray("The engine returned codes for another number of seeds than the run has.")
            con.execute("DELETE FROM code WHERE run_id = $run", {"run": run_id})
            append_rows(con, "code", [(run_id, seeds[seed], place, each) for seed, place, each in found.rows])
        return recorded


def rebuild(store: Store) -> int:
    """Rebuild every projected table from the log; return the number of entries read. All or nothing."""
    projector = Projector()
    total = 0
    sessions = [str(row[0]) for row in store.rows("SELECT DISTINCT session_id FROM event ORDER BY session_id")]
    with store.transaction() as con:
        clear(con)
        for session_id in sessions:
            for first in itertools.count(1, _REBUILD_BATCH):
                rows = con.execute(
                    "SELECT session_id, seq, at_us, run_id, payload FROM event WHERE session_id = $session "
                    "AND seq >= $first AND seq < $next ORDER BY seq",
                    {"session": session_id, "first": first, "next": first + _REBUILD_BATCH},
                ).fetchall()
                if not rows:
                    break
                projector.apply(con, [_entry(*row) for row in rows])
                total += len(rows)
    return total


def stored_lines(
    store: Store, session_id: str, *, after_seq: int, up_to: int, run_id: str | None = None
) -> list[bytes]:
    """Return the entries with after_seq < seq <= up_to, in order, as clients receive them."""
    wanted = "AND (run_id = $run OR run_id IS NULL)" if run_id is not None else ""
    parameters: dict[str, object] = {"session": session_id, "after": after_seq, "to": up_to}
    if run_id is not None:
        parameters["run"] = run_id
    rows = store.rows(
        "SELECT session_id, seq, at_us, run_id, payload FROM event "  # noqa: S608  # wanted is one of two texts of ours
        f"WHERE session_id = $session AND seq > $after AND seq <= $to {wanted} ORDER BY seq",
        parameters,
    )
    return [log_line(*row) for row in rows]


def log_line(session_id: str, seq: int, at_us: int, run_id: str | None, payload: str) -> bytes:
    """Return a stored entry as clients receive it."""
    place: Any = {"session_id": session_id, "seq": seq, "at_us": at_us, "run_id": run_id}
    return msgspec.json.encode(_RawLogEntry(event=msgspec.Raw(payload.encode()), **place))


def _codes(draft: EventDraft) -> CodeRows | None:
    event = draft.event
    if isinstance(event, ArrayReady) and event.name == "codes" and draft.spool is not None:
        return read_codes(draft.spool, event)
    return None


def _log_row(each: RecordedEntry) -> tuple[object, ...]:
    entry = each.entry
    kind = str(entry.event.__struct_config__.tag)
    return (entry.session_id, entry.seq, entry.at_us, entry.run_id, kind, EVENT_VERSION, each.payload.decode())


def _entry(session_id: str, seq: int, at_us: int, run_id: str | None, payload: str) -> LogEntry:
    event = event_decoder.decode(payload)
    return LogEntry(session_id=session_id, seq=seq, at_us=at_us, run_id=run_id, event=event)
