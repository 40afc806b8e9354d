"""One effect measurement over the host, from request to end."""

import contextlib
import shlex
from collections.abc import AsyncGenerator, Sequence
from typing import cast

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import EffectsConfig
from engine.errors import Failure
from engine.events import EngineEvent
from engine.machine.folders import AppFolders
from engine.nodes import NodeId
from sessions.client.connection import HostClient
from sessions.errors import HostError, Refusal
from sessions.events import EffectsEnded, LogEntry, RunState
from sessions.protocol import CancelRun, Done, FindRun, MeasureRunEffects, RunAnswer, SessionDetailAnswer, ShowSession
from sessions.rows import RunRow
from tui.headless.interrupt import stop_on_interrupt
from tui.headless.run_probe import read_run
from tui.headless.watch_engine import watch_engine
from tui.output.progress import ProgressReporter


class MeasuredEffects(msgspec.Struct, frozen=True, kw_only=True):
    """The result, complete or partial."""

    run: RunRow
    title: str
    """SESSION/2."""
    state: RunState
    """done, stopped or failed."""
    failure: Failure | None
    found: RunSnapshot
    """This measurement only."""
    picture: RunSnapshot
    """The run including it; its card depends on the effects."""


async def measure_again(
    places: AppFolders,
    reference: str,
    config: EffectsConfig,
    heads: Sequence[NodeId],
    reporter: ProgressReporter,
    *,
    position: str | None = None,
    after: Sequence[NodeId] = (),
    after_name: str = "",
    edges: Sequence[tuple[NodeId, NodeId]] = (),
) -> MeasuredEffects:
    """Measure effects and return them.

    The first Ctrl+C stops it, the second ends its worker, the third leaves. Raises Refusal, HostError, Cancelled.
    """
    async with await HostClient.connect(places) as client:
        if client.welcome.notice:
            reporter.say(f"note: {client.welcome.notice}")
        run = (await client.ask(FindRun(run=reference), RunAnswer)).run
        detail = (await client.ask(ShowSession(session=run.session_id), SessionDetailAnswer)).detail
        title = f"{detail.session.name}/{run.number}"
        picture = await read_run(client, run.session_id, run, detail.last_seq)
        await client.ask(
            MeasureRunEffects(
                run=run.run_id,
                config=config,
                heads=tuple((*head,) for head in heads),
                position=position,
                after=tuple((*head,) for head in after),
                after_name=after_name,
                edges=tuple(edges),
            ),
            Done,
        )
        reporter.say(f"{title}: {config.method}, without training again")
        with stop_on_interrupt(lambda force: client.ask(CancelRun(run=run.run_id, force=force), Done), reporter.say):
            async with watch_engine(client, run.run_id, reporter.say):
                found, picture, ended = await _follow(client, run, detail.last_seq, picture, reporter)
    return MeasuredEffects(run=run, title=title, state=ended.state, failure=ended.failure, found=found, picture=picture)


def refuse_unfinished(measured: MeasuredEffects) -> None:
    """Raise Refusal if the measurement did not complete; called after printing what it found."""
    if measured.state == "done":
        return
    if measured.state == "stopped" or measured.failure is None:
        kept = f"headcode sessions show {shlex.quote(measured.title.rpartition('/')[0])} shows what was measured."
        message = f"The measurement of {measured.title} was {measured.state}."
        raise Refusal(Failure(family="cancelled", name="Cancelled", message=message, hint=kept))
    raise Refusal(measured.failure)


async def _follow(
    client: HostClient, run: RunRow, after: int, picture: RunSnapshot, reporter: ProgressReporter
) -> tuple[RunSnapshot, RunSnapshot, EffectsEnded]:
    found = RunSnapshot(model=picture.model)
    follow = cast(AsyncGenerator[tuple[LogEntry, ...]], client.follow(run.session_id, after_seq=after, run=run.run_id))
    async with contextlib.aclosing(follow):
        async for entries in follow:
            for entry in entries:
                if entry.run_id != run.run_id:
                    continue
                if isinstance(entry.event, EffectsEnded):
                    return found, picture, entry.event
                if isinstance(entry.event, EngineEvent):
                    found = fold_event(found, entry.event, entry.at_us)
                    picture = fold_event(picture, entry.event, entry.at_us)
                    reporter.event(entry.event)
    raise HostError("The host's log ended before the measurement did.", hint="headcode host log says why.")
