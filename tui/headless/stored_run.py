"""All that is stored of runs, for what tells a run to others: a report, a command, a Python script."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import Protocol, TypeVar, cast

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.errors import HeadcodeError
from engine.events import EngineEvent, ExamplesMade
from engine.nodes import NodeId
from engine.results import NO_CODE
from sessions.comparison.comparison import CannotCompare
from sessions.errors import NoSuchRecord
from sessions.events import (
    DrawingChanged,
    ExamplesSet,
    LogEntry,
    RunQueued,
    SessionCreated,
    SteeringRecorded,
    ViewChanged,
)
from sessions.protocol import (
    AnyRequest,
    CodesAnswer,
    FindRun,
    GetCodes,
    GetHeadInspection,
    GetStatus,
    HeadInspection,
    RunAnswer,
    SessionDetailAnswer,
    ShowSession,
    StatusAnswer,
)
from sessions.rows import HeadCodes, NoteRow, RunRow, SessionRow
from tui.headless.wording import split_run

T = TypeVar("T")
LOAD_HINT = "--load-model loads the model for it"


class FactsSource(Protocol):
    """What answers requests and sends a session's log: the host's client, or the workbench's link."""

    async def ask(self, request: AnyRequest, want: type[T], /) -> T: ...

    def follow(self, session: str, /) -> AsyncIterator[tuple[LogEntry, ...]]: ...


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run with its place in its session."""

    session: SessionRow
    run: RunRow
    picture: RunSnapshot
    drawing: DrawingChanged = DrawingChanged()
    view: ViewChanged | None = None
    """Measure and cut by which the run was last viewed; None: as it was made."""
    created: SessionCreated | None = None
    """How the session began: the number of pairs and the seed of a task."""
    as_created: bool = False
    """True if the examples are those that the session's task made for its first run, on the same model."""
    steerings: tuple[SteeringRecorded, ...] = ()
    """What was recorded of steering its model, the oldest first."""
    queued: RunQueued | None = None
    """How the run was requested; None only in damaged logs."""
    notes: tuple[NoteRow, ...] = ()
    """On the run, its nodes and the session."""

    @property
    def name(self) -> str:
        """The run's name as commands take it: mine/2."""
        return f"{self.session.name}/{self.run.number}"


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one node's codes, and what the model shows of a head on one prompt."""

    node: NodeId
    codes: HeadCodes | None = None
    """None if the run stored none."""
    look: HeadInspection | None = None
    example: int = 0
    """Index of the prompt of `look`."""


class MissingLooks(msgspec.Struct, frozen=True, kw_only=True):
    """Why the model was not asked; both empty: it was."""

    why: str = ""
    hint: str = ""


async def find_runs(source: FactsSource, what: str) -> tuple[StoredRun, ...]:
    """Return the run of that name (NAME/2, or its id), or all runs of a session that have scores, the first first.

    Raises NoSuchRecord, or CannotCompare if there is none with scores.
    """
    name, number = split_run(what)
    run: RunRow | None = None
    try:
        detail = (await source.ask(ShowSession(session=name), SessionDetailAnswer)).detail
    except HeadcodeError as no_session:
        try:
            run = (await source.ask(FindRun(run=what), RunAnswer)).run
        except HeadcodeError:
            raise no_session from None
        detail = (await source.ask(ShowSession(session=run.session_id), SessionDetailAnswer)).detail
    wanted = [each for each in detail.runs if number in (None, each.number)] if run is None else [run]
    if not wanted and number is not None:
        raise NoSuchRecord(f"Session {detail.session.name!r} has no run {number}.", hint="Give one that it has.")
    facts = await read_facts(source, detail.session.session_id, {run.run_id for run in wanted})
    found = tuple(each for each in facts if each.picture.nodes and each.picture.model is not None)
    if not found:
        raise CannotCompare(f"{what} has no scores to report.", hint="Give a session with a finished run, or NAME/2.")
    return found


async def read_facts(source: FactsSource, session_id: str, run_ids: Collection[str]) -> tuple[StoredRun, ...]:
    """Return these runs of the session with all that the log says of them up to now, in the order of their numbers."""
    detail = (await source.ask(ShowSession(session=session_id), SessionDetailAnswer)).detail
    rows = {run.run_id: run for run in detail.runs if run.run_id in run_ids}
    pictures = {run_id: RunSnapshot() for run_id in rows}
    last: dict[tuple[str, type], object] = {}
    created: SessionCreated | None = None
    steerings: dict[str, list[SteeringRecorded]] = {}
    first = _FirstExamples()
    follow = cast(AsyncGenerator[tuple[LogEntry, ...]], source.follow(session_id))
    async with contextlib.aclosing(follow):
        async for entries in follow:
            for entry in entries:
                event, run_id = entry.event, entry.run_id
                if isinstance(event, SessionCreated):
                    created = event
                first.fold(entry)
                if run_id not in rows or run_id is None:
                    continue
                if isinstance(event, SteeringRecorded):
                    steerings.setdefault(run_id, []).append(event)
                elif isinstance(event, EngineEvent):
                    pictures[run_id] = fold_event(pictures[run_id], event, entry.at_us)
                elif isinstance(event, DrawingChanged | ViewChanged | RunQueued):
                    last[run_id, type(event)] = event
            if any(entry.seq >= detail.last_seq for entry in entries):
                break
    return tuple(
        StoredRun(
            session=detail.session,
            run=row,
            picture=pictures[row.run_id],
            drawing=cast(DrawingChanged, last.get((row.run_id, DrawingChanged), DrawingChanged())),
            view=cast(ViewChanged | None, last.get((row.run_id, ViewChanged))),
            created=created,
            steerings=tuple(steerings.get(row.run_id, ())),
            as_created=first.made_for(row.model, pictures[row.run_id].content_hash),
            queued=cast(RunQueued | None, last.get((row.run_id, RunQueued))),
            notes=tuple(note for note in detail.notes if note.run_id in (None, row.run_id)),
        )
        for row in sorted(rows.values(), key=lambda row: row.number)
    )


async def read_nodes(
    source: FactsSource, facts: StoredRun, nodes: Collection[NodeId], *, load: bool
) -> tuple[tuple[NodeFacts, ...], MissingLooks]:
    """Return codes and, of heads, attention on one positive: its first graded ok.

    The model is asked if the host has it warm, or with `load`; else, or if it refuses, it is said why there is none.
    """
    missing = MissingLooks() if load else await _cold(source, facts)
    example = _shown_example(facts.picture)
    found = []
    for node in nodes:
        codes = look = None
        with contextlib.suppress(HeadcodeError):  # a run imported without its codes
            asked = GetCodes(run=facts.run.run_id, layer=node.layer, head=node.head)
            codes = (await source.ask(asked, CodesAnswer)).codes
        if node.is_head and not missing.why and example is not None:
            request = GetHeadInspection(run=facts.run.run_id, layer=node.layer, head=node.head, example=example)
            try:
                look = await source.ask(request, HeadInspection)
            except HeadcodeError as error:
                missing = MissingLooks(why=error.message, hint=error.hint)
        found.append(NodeFacts(node=node, codes=codes, look=look, example=example or 0))
    return tuple(found), missing


def example_codes(node: NodeFacts) -> str:
    """Return the node's code on the prompt of its look, as text."""
    if node.codes is None or node.example >= len(node.codes.codes) or node.codes.codes[node.example] == NO_CODE:
        return "none"
    return str(node.codes.codes[node.example])


class _FirstExamples:
    """The examples that a session's task made, unless some were written before."""

    def __init__(self) -> None:
        self._models: dict[str | None, str] = {}
        self._made: tuple[str, str] | None = None
        self._written = False

    def fold(self, entry: LogEntry) -> None:
        match entry.event:
            case RunQueued():
                self._models[entry.run_id] = entry.event.model
            case ExamplesSet():
                self._written = True
            case ExamplesMade() if not self._written and self._made is None:
                self._made = self._models.get(entry.run_id, ""), entry.event.content_hash

    def made_for(self, model: str, content_hash: str) -> bool:
        """Return True if these are the examples, and the model is the one that they were made for."""
        return self._made == (model, content_hash)


async def _cold(source: FactsSource, facts: StoredRun) -> MissingLooks:
    """Return why the model is not asked: it is not in memory, or other work would have to be waited for."""
    status = (await source.ask(GetStatus(), StatusAnswer)).status
    if status.worker_state not in ("warm", "busy") or status.worker_model != facts.run.model:
        why = f"The model {facts.run.model} was not in memory when this report was written."
        return MissingLooks(why=why, hint=LOAD_HINT)
    if status.worker_state == "busy":
        return MissingLooks(why="The model was at work when this report was written.", hint="write it again afterwards")
    return MissingLooks()


def _shown_example(picture: RunSnapshot) -> int | None:
    """Return the index of the first positive that was graded ok, else of the first; None without examples."""
    good = {grade.index for grade in picture.grades if grade.verdict == "ok"}
    positive = [index for index, each in enumerate(picture.examples) if each.positive]
    return next((index for index in positive if index in good), positive[0] if positive else None)
