"""Project the event log into tables: what each event changes in them."""

from collections.abc import Iterable

import duckdb
import msgspec

from engine.config import ProbeConfig, SAEConfig
from engine.events import (
    CircuitChecked,
    EdgesScored,
    EffectsMeasured,
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    TrainStep,
)
from engine.examples import Example
from engine.results import EFFECT_FIELDS, Grade, NodeScores, Timings
from engine.tasks.registry import made_by
from sessions.events import (
    AnyEvent,
    ArrayStored,
    CircuitDeleted,
    CircuitSaved,
    ExamplesSet,
    ExamplesStepped,
    LogEntry,
    NoteRemoved,
    NoteWritten,
    RunEnded,
    RunLabelled,
    RunQueued,
    RunStarted,
    RunVerified,
    SessionCreated,
    SessionImported,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    SweepPlanned,
    TagsSet,
    ViewChanged,
)
from sessions.store.database import append_rows
from sessions.store.effects import find_truths, replace_effects
from sessions.store.migrations import PROJECTIONS
from sessions.store.sweep_units import add_units

MEASURES = tuple(
    name for name in NodeScores.__struct_fields__ if name not in ("layer", "head", "other", *EFFECT_FIELDS)
)
"""Fields of NodeScores that have a column; measures without a field of their own are in the JSON column `other`."""
GRADE_COLUMNS = tuple(name for name in Grade.__struct_fields__ if name not in ("index", "better_prompt"))
"""Fields of a grade that have a column; the suggested prompt is in the events only."""
_INFO = ("n_layers", "n_heads", "d_model", "d_head", "context", "vocabulary", "nodes", "parallel_mlps")
_VERSIONS = ("headcode", "python", "torch", "transformer_lens", "device")

event_decoder = msgspec.json.Decoder(AnyEvent)


def text_of(value: object) -> str:
    """Return the value as JSON text."""
    return msgspec.json.encode(value).decode()


def portable_text(value: ProbeConfig | Timings) -> str:
    """Return the value as JSON text without newer fields that have their default value.

    Rows written by earlier versions then stay the same when they are made again from the log.
    """
    fields = msgspec.to_builtins(value)
    if value.cause == type(value)().cause:
        del fields["cause"]
    if isinstance(value, ProbeConfig) and "cause" in fields and value.cause.smallest == type(value)().cause.smallest:
        del fields["cause"]["smallest"]
    if isinstance(value, ProbeConfig) and value.sae.recipe == SAEConfig().recipe:
        del fields["sae"]["recipe"]
    if isinstance(value, ProbeConfig) and value.bootstraps == type(value)().bootstraps:
        del fields["bootstraps"]
    if isinstance(value, ProbeConfig) and value.nodes == "heads":
        del fields["nodes"]
    return text_of(fields)


class Projector:
    """Applies entries to the tables inside a transaction that the caller holds.

    It caches what it looked up; call `forget` after a rollback.
    """

    def __init__(self) -> None:
        self._seeds: dict[str, tuple[int, ...]] = {}
        self._rows: dict[str, list[tuple[object, ...]]] = {}
        """Rows to be added, by table."""
        self._runs: dict[str, dict[str, object]] = {}
        """Columns to be changed, by run: most events of a run change its row, and an update takes a millisecond."""
        self._new: set[str] = set()
        """Runs that this batch began: tables have rows of theirs only if they were written in this batch."""
        self._written: set[str] = set()
        """Tables that were written in this batch."""
        self._notes: dict[tuple[str, str], tuple[object, ...] | None] = {}
        """By session and id; None: removed.

        Nothing else in a batch of entries depends on these or on the times below, so they are written once, at
        its end.
        """
        self._touched: dict[str, int] = {}

    def forget(self) -> None:
        self._seeds.clear()
        self._clear()

    def apply(self, con: duckdb.DuckDBPyConnection, entries: Iterable[LogEntry]) -> None:
        """Apply these entries, which are in log order and not yet in the tables."""
        self._clear()
        for entry in entries:
            self._one(con, entry)
        self._flush(con)
        self._flush_runs(con)
        self._flush_notes(con)
        self._flush_touched(con)

    def _one(self, con: duckdb.DuckDBPyConnection, entry: LogEntry) -> None:
        event, run = entry.event, entry.run_id or ""
        match event:
            case SessionCreated():
                row = (entry.session_id, event.name, event.model, event.task, event.pairs, event.task_seed)
                self._add("session", (*row, entry.at_us, entry.at_us, None, None, None))
            case ExamplesSet():
                self._examples_set(con, entry, event)
            case (
                ExamplesStepped()
                | SessionRenamed()
                | TagsSet()
                | NoteWritten()
                | NoteRemoved()
                | SessionTrashed()
                | SessionRestored()
                | CircuitSaved()
                | CircuitDeleted()
                | SessionImported()
            ):
                self._metadata(con, entry)
            case ViewChanged():
                self._update(run, measure=event.measure, cut=event.cut)
            case RunLabelled():
                tags = text_of(event.tags) if event.tags else None
                self._update(run, name=event.name or None, tags=tags)
                self._touched[entry.session_id] = entry.at_us
            case RunVerified():
                self._update(run, verified=text_of(event))
            case RunQueued():
                self._queued(con, entry, event)
            case SweepPlanned():
                add_units(con, entry, event)
                self._touched[entry.session_id] = entry.at_us
            case RunStarted():
                self._update(run, state="running", started_us=entry.at_us)
                self._touched[entry.session_id] = entry.at_us
            case RunEnded():
                self._ended(con, entry, event)
            case ArrayStored(name="sae"):
                self._update(run, sae_sha256=event.sha256)
            case ModelReady():
                info = {name: getattr(event.model, name) for name in _INFO}
                versions = {name: getattr(event.versions, name) for name in _VERSIONS}
                names = {"model_name": event.model.name, "model_identity": event.model.identity}
                self._update(run, warm=event.warm, **names, **info, **versions)
            case ExamplesMade():
                self._examples(con, event.content_hash, event.examples)
                made = made_by(event.task, event.examples) if event.made is None else event.made
                self._update(run, content_hash=event.content_hash, made=made)
            case ReferenceKnown():
                self._update(run, offered=text_of(event.reference))
                self._update_truths(con, run)
            case Graded():
                self._replace(con, "grade", run)
                for grade in event.grades:
                    self._add("grade", (run, grade.index, *(getattr(grade, name) for name in GRADE_COLUMNS)))
            case TrainStep():
                self._step(con, run, event)
            case Scored(final=True):
                self._scores(con, run, event)
            case EdgesScored():
                self._replace(con, "edge_score", run)
                for place, edge in enumerate(event.edges):
                    self._add("edge_score", (run, place, *edge.source, *edge.target, edge.score))
            case EffectsMeasured():
                self._effects(con, entry, event)
            case CircuitChecked():
                self._flush(con, "circuit_check")
                con.execute(
                    "DELETE FROM circuit_check WHERE run_id = $run AND name = $name", {"run": run, "name": event.name}
                )
                values = (event.faithfulness, event.completeness, event.area, text_of(event))
                self._add("circuit_check", (run, event.name, *values))
            case ProbeFinished():
                self._finished(run, event)
            case _:
                pass

    def _examples_set(self, con: duckdb.DuckDBPyConnection, entry: LogEntry, event: ExamplesSet) -> None:
        self._flush(con)
        self._examples(con, event.content_hash, event.examples)
        before, parent = con.execute(
            "SELECT count(*), any_value(s.examples_version) FROM session s LEFT JOIN example_set e "
            "ON e.session_id = s.session_id WHERE s.session_id = $session AND e.version IS NOT NULL",
            {"session": entry.session_id},
        ).fetchall()[0]
        enabled = [example.positive for example in event.examples if example.enabled]
        counts = (sum(enabled), len(enabled) - sum(enabled))
        self._add("example_set", (entry.session_id, before + 1, event.content_hash, *counts, entry.at_us, parent))
        self._session(con, entry.session_id, examples_version=before + 1)
        self._touched[entry.session_id] = entry.at_us

    def _examples(self, con: duckdb.DuckDBPyConnection, content_hash: str, examples: tuple[Example, ...]) -> None:
        """Store an example set once per content hash, however often it is used."""
        self._flush(con, "example")
        if con.execute("SELECT 1 FROM example WHERE content_hash = $hash LIMIT 1", {"hash": content_hash}).fetchall():
            return
        for position, one in enumerate(examples):
            answers = (list(one.expected), list(one.foils))
            self._add("example", (content_hash, position, one.prompt, one.polarity, *answers, one.pair, one.enabled))

    def _metadata(self, con: duckdb.DuckDBPyConnection, entry: LogEntry) -> None:
        """Apply changes of a session's name, tags, notes and circuits."""
        event, session = entry.event, entry.session_id
        match event:
            case ExamplesStepped():
                self._session(con, session, examples_version=event.version)
            case SessionRenamed():
                self._session(con, session, name=event.name)
            case TagsSet():
                self._drop(con, "tag", session_id=session)
                for tag in event.tags:
                    self._add("tag", (session, tag))
            case NoteWritten():
                place = event.head if event.head is not None else (None, None)
                row = (session, event.note_id, entry.run_id, *place, event.text, entry.at_us)
                self._notes[session, event.note_id] = row
            case NoteRemoved():
                self._notes[session, event.note_id] = None
            case SessionTrashed():
                self._session(con, session, trashed_us=entry.at_us)
            case SessionRestored():
                self._session(con, session, trashed_us=None)
            case CircuitSaved():
                self._drop(con, "circuit", session_id=session, name=event.name)
                heads = text_of(event.heads)
                self._add("circuit", (session, event.name, entry.run_id, heads, event.source, entry.at_us))
            case CircuitDeleted():
                self._drop(con, "circuit", session_id=session, name=event.name)
            case SessionImported():
                # An imported session is shown, even if the sender had moved it to the trash.
                name = {} if event.name is None else {"name": event.name}
                self._session(con, session, origin=text_of(event), trashed_us=None, **name)
        self._touched[entry.session_id] = entry.at_us

    def _queued(self, con: duckdb.DuckDBPyConnection, entry: LogEntry, event: RunQueued) -> None:
        before = con.execute(
            "SELECT count(*) FROM run WHERE session_id = $session", {"session": entry.session_id}
        ).fetchall()[0][0]
        con.execute(
            "INSERT INTO run (run_id, session_id, number, state, model, task, config, device_asked, queued_us, again, "
            "unit_key) VALUES ($run, $session, $number, 'queued', $model, $task, $config, $device, $at, $again, $unit)",
            {
                "run": entry.run_id,
                "session": entry.session_id,
                "number": before + 1,
                "model": event.model,
                "task": event.task,
                "config": portable_text(event.config),
                "device": event.device,
                "at": entry.at_us,
                "again": event.again,
                "unit": event.unit or None,
            },
        )
        self._seeds[entry.run_id or ""] = event.config.seeds
        self._new.add(entry.run_id or "")
        self._touched[entry.session_id] = entry.at_us

    def _ended(self, con: duckdb.DuckDBPyConnection, entry: LogEntry, event: RunEnded) -> None:
        self._flush(con, "node_score")
        run = entry.run_id or ""
        self._seeds.pop(run, None)
        failure = None if event.failure is None else text_of(event.failure)
        self._update(run, state=event.state, ended_us=entry.at_us, failure=failure)
        if not con.execute("SELECT 1 FROM node_score WHERE run_id = $run LIMIT 1", {"run": run}).fetchall():
            # Partial scores of an unfinished run stay, marked as such: the last provisional ones, not in any table
            # until now.
            last = con.execute(
                "SELECT payload FROM event WHERE session_id = $session AND run_id = $run AND kind = 'scored' "
                "AND seq < $seq ORDER BY seq DESC LIMIT 1",
                {"session": entry.session_id, "run": run, "seq": entry.seq},
            ).fetchall()
            if last:
                partial = event_decoder.decode(last[0][0])
                assert isinstance(partial, Scored)
                self._scores(con, run, partial)
        self._touched[entry.session_id] = entry.at_us

    def _finished(self, run: str, event: ProbeFinished) -> None:
        self._update(
            run,
            n_positive=event.examples.positive,
            n_negative=event.examples.negative,
            n_broken=event.examples.broken,
            circuit=text_of(event.circuit),
            circuit_softmax=text_of(event.circuit_softmax),
            timings=portable_text(event.timings),
            cached=event.cached,
        )

    def _step(self, con: duckdb.DuckDBPyConnection, run: str, event: TrainStep) -> None:
        for place, (seed, loss) in enumerate(zip(self._seeds_of(con, run), event.reconstruction, strict=False)):
            sparsity = event.sparsity[place] if place < len(event.sparsity) else None
            moving = event.moving[place] if place < len(event.moving) else None
            self._add("step", (run, seed, event.step, loss, sparsity, moving))

    def _scores(self, con: duckdb.DuckDBPyConnection, run: str, event: Scored) -> None:
        self._replace(con, "node_score", run)
        for node in event.nodes:
            values = (getattr(node, name) for name in MEASURES)
            other = text_of(node.other) if node.other else None
            self._add("node_score", (run, event.final, node.layer, node.head, *values, other))

    def _effects(self, con: duckdb.DuckDBPyConnection, entry: LogEntry, event: EffectsMeasured) -> None:
        self._flush(con, "cause")
        run = entry.run_id or ""
        for row in replace_effects(con, run, event, seq=entry.seq, at_us=entry.at_us):
            self._add("cause", row)
        if event.final:
            self._update_truths(con, run)

    def _update_truths(self, con: duckdb.DuckDBPyConnection, run: str) -> None:
        """Store what the run's rankings are now compared with."""
        self._flush(con, "cause")
        self._flush_runs(con)
        reference = find_truths(con, run)
        self._update(run, reference=None if reference is None else text_of(reference))

    def _seeds_of(self, con: duckdb.DuckDBPyConnection, run: str) -> tuple[int, ...]:
        if run not in self._seeds:
            found = con.execute("SELECT config->>'$.seeds' FROM run WHERE run_id = $run", {"run": run}).fetchall()
            seeds = msgspec.json.decode(found[0][0], type=tuple[int, ...]) if found else ()
            self._seeds[run] = seeds
        return self._seeds[run]

    def _add(self, table: str, row: tuple[object, ...]) -> None:
        self._rows.setdefault(table, []).append(row)

    def _replace(self, con: duckdb.DuckDBPyConnection, table: str, run: str) -> None:
        """Remove the run's rows, which begin with its id."""
        if run in self._new and table not in self._written:
            self._rows[table] = [row for row in self._rows.get(table, ()) if row[0] != run]
            return
        self._flush(con, table)
        con.execute(f"DELETE FROM {table} WHERE run_id = $run", {"run": run})  # noqa: S608  # a name of our own

    def _update(self, run: str, **values: object) -> None:
        self._runs.setdefault(run, {}).update(values)

    def _flush_runs(self, con: duckdb.DuckDBPyConnection) -> None:
        for run, values in self._runs.items():
            columns = ", ".join(f"{name} = ${name}" for name in values)
            con.execute(f"UPDATE run SET {columns} WHERE run_id = $run", {**values, "run": run})  # noqa: S608
        self._runs.clear()

    def _session(self, con: duckdb.DuckDBPyConnection, session: str, **values: object) -> None:
        self._flush(con, "session")
        columns = ", ".join(f"{name} = ${name}" for name in values)
        sql = f"UPDATE session SET {columns} WHERE session_id = $session"  # noqa: S608  # names of our own
        con.execute(sql, {**values, "session": session})

    def _drop(self, con: duckdb.DuckDBPyConnection, table: str, **where: object) -> None:
        self._flush(con, table)
        condition = " AND ".join(f"{name} = ${name}" for name in where)
        con.execute(f"DELETE FROM {table} WHERE {condition}", where)  # noqa: S608  # names of our own

    def _flush(self, con: duckdb.DuckDBPyConnection, *tables: str) -> None:
        """Write the rows of these tables; of all if none is named."""
        for table in tables or tuple(self._rows):
            if rows := self._rows.pop(table, None):
                append_rows(con, table, rows)
                self._written.add(table)

    def _flush_notes(self, con: duckdb.DuckDBPyConnection) -> None:
        if len(self._notes) == 1:
            ((session, note),) = self._notes
            self._drop(con, "note", session_id=session, note_id=note)
        elif self._notes:
            sessions, notes = zip(*self._notes, strict=True)
            con.execute(
                "DELETE FROM note WHERE (session_id, note_id) IN (SELECT unnest($sessions), unnest($notes))",
                {"sessions": list(sessions), "notes": list(notes)},
            )
        append_rows(con, "note", [row for row in self._notes.values() if row is not None])

    def _flush_touched(self, con: duckdb.DuckDBPyConnection) -> None:
        if len(self._touched) == 1:
            ((session, at_us),) = self._touched.items()
            self._session(con, session, updated_us=at_us)
        elif self._touched:
            con.execute(
                "UPDATE session SET updated_us = new.at "
                "FROM (SELECT unnest($sessions) AS id, unnest($at) AS at) AS new WHERE session_id = new.id",
                {"sessions": list(self._touched), "at": list(self._touched.values())},
            )

    def _clear(self) -> None:
        self._rows.clear()
        self._runs.clear()
        self._new.clear()
        self._written.clear()
        self._notes.clear()
        self._touched.clear()


def clear(con: duckdb.DuckDBPyConnection) -> None:
    """Empty every table that is a projection of the log."""
    for table in PROJECTIONS:
        con.execute(f"DELETE FROM {table}")  # noqa: S608  # names of our own
