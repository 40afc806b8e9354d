"""Answer requests for replay: pieces of the log, the timeline, and the view of a run."""

from typing import cast

import msgspec

from engine.measures import find_measure
from sessions.errors import BadRequest, NoSuchRecord
from sessions.events import ViewChanged
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import Done, LogPiece, Message, ReadLog, ReadTimeline, SetView, TimelineAnswer
from sessions.store import log_reader, queries
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder


class _RawLogPiece(Message, tag="log_piece", frozen=True, kw_only=True):
    """A LogPiece whose entries are the stored JSON text."""

    session_id: str
    entries: list[msgspec.Raw]
    up_to: int
    goal: int
    last_seq: int


async def read_log(host: HandlerContext, request: ReadLog) -> LogPiece:
    """Read a piece of the log."""

    def read(recorder: Recorder) -> tuple[_RawLogPiece, list[RecordedEntry]]:
        store = recorder.store
        session_id = queries.find_session(store, request.session)
        last = recorder.last_seq(session_id)
        up_to = last if request.up_to is None else min(request.up_to, last)
        if request.up_to_us is not None:
            up_to = min(up_to, log_reader.seq_at(store, session_id, request.up_to_us))
        piece = log_reader.read_chunk(
            store,
            session_id,
            after_seq=max(0, request.after_seq),
            up_to=up_to,
            condensed=request.condensed,
            most_bytes=request.most_bytes,
        )
        entries = [msgspec.Raw(line) for line in piece.lines]
        return _RawLogPiece(session_id=session_id, entries=entries, up_to=piece.up_to, goal=up_to, last_seq=last), []

    return cast(LogPiece, await host.writer.change(read))


async def read_timeline(host: HandlerContext, request: ReadTimeline) -> TimelineAnswer:
    """Read the timeline."""

    def read(recorder: Recorder) -> tuple[TimelineAnswer, list[RecordedEntry]]:
        session_id, run_id = _session_or_run(recorder.store, request.session)
        last = recorder.last_seq(session_id)
        times = log_reader.timeline(
            recorder.store, session_id, pause_us=max(0, request.pause_us), last_seq=last, run_id=run_id
        )
        return TimelineAnswer(times=times), []

    return await host.writer.change(read)


def _session_or_run(store: Store, reference: str) -> tuple[str, str | None]:
    """Resolve a reference to a session and, if it names one, a run. Raises NoSuchRecord."""
    try:
        return queries.find_session(store, reference), None
    except NoSuchRecord as error:
        try:
            run_id = queries.find_run(store, reference)
        except NoSuchRecord as other:
            # In SESSION/7 the session exists, so the error is about the run.
            raise (other if "/" in reference else error) from None
    return queries.run_row(store, run_id).session_id, run_id


async def set_look(host: HandlerContext, request: SetView) -> Done:
    """Record the view of a run."""
    measure = find_measure(request.look.measure)
    if request.look.cut < 1:
        raise BadRequest(f"A circuit of {request.look.cut} heads: it needs at least one.", hint="")

    def change(recorder: Recorder) -> tuple[None, list[RecordedEntry]]:
        run_id = queries.find_run(recorder.store, request.run)
        session_id, before, cut = recorder.store.rows(
            "SELECT session_id, measure, cut FROM run WHERE run_id = $run", {"run": run_id}
        )[0]
        if (before, cut) == (measure.id, request.look.cut):
            return None, []
        view = ViewChanged(measure=measure.id, cut=request.look.cut)
        return None, recorder.append([EventDraft(session_id=session_id, run_id=run_id, event=view)])

    await host.writer.change(change)
    return Done()


ANSWERS: dict[type, Answer] = {
    ReadLog: read_log,
    ReadTimeline: read_timeline,
    SetView: set_look,
}
