"""Measure effects after a run: a job in the run queue, recorded into the run's own log."""

import asyncio
import logging

import msgspec

from engine.analysis.ranking import ranked
from engine.errors import ConfigError, Failure, HeadcodeError
from engine.events import EngineEvent
from engine.nodes import NodeId, NodeLayout
from engine.protocol import MeasureEffects
from sessions.errors import NoSuchRecord
from sessions.events import EffectsEnded, EffectsRequested, RunState, SessionEvent
from sessions.handlers.context import Answer, HandlerContext
from sessions.ids import new_id
from sessions.protocol import Done, MeasureRunEffects
from sessions.rows import RunRow
from sessions.store.circuits import find_circuit, stored_circuit
from sessions.store.comparison_sides import run_side
from sessions.store.database import Store
from sessions.store.queries import active_session, find_run, run_row
from sessions.store.recorder import EventDraft, Recorder
from sessions.store.rerun import find_rerun

OWN_CIRCUIT = "circuit"
"""The name of the run's own circuit where a request names a circuit."""
_MAX_NAMED = 6
log = logging.getLogger("headcode.effects")

_OPEN = """
    SELECT session_id, run_id FROM (
        SELECT session_id, run_id, max_by(kind, seq) AS last FROM event
        WHERE kind IN ($begin, $end) GROUP BY session_id, run_id)
    WHERE last = $begin ORDER BY session_id, run_id
"""


class EffectMeasurements:
    """The active measurements, by run."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[str, asyncio.Task[None]]] = {}

    async def begin(self, host: HandlerContext, request: MeasureRunEffects) -> None:
        """Queue a measurement. Raises NoSuchRecord, ConfigError, NoSuchNode."""
        if request.config.method == "none":
            raise ConfigError("No method was named.", hint="attribution, exact, combined or circuit.")
        session_id, worker_request = await host.writer.read(
            lambda store: effects_request(store, request, models=str(host.places.models), job=new_id("c"))
        )
        run_id = await host.writer.read(lambda store: find_run(store, request.run))
        title = await host.writer.read(lambda store: run_side(store, run_id).title)
        if run_id in self._jobs:
            raise ConfigError("This run's heads are being measured already.", hint="Wait for it, or stop it (x).")
        asked = EffectsRequested(
            config=request.config,
            heads=request.heads,
            after=worker_request.after,
            after_name=worker_request.after_name,
            edges=request.edges,
        )
        work = self._measure(host, session_id, run_id, worker_request, asked, f"effects of heads in {title}")
        task = asyncio.create_task(work, name=f"cause {run_id}")
        self._jobs[run_id] = worker_request.job, task

    def cancel(self, host: HandlerContext, run_id: str, *, force: bool) -> None:
        """Stop the measurement on that run, if there is one."""
        if run_id in self._jobs:
            host.runs.cancel_unrecorded(self._jobs[run_id][0], force=force)

    async def _measure(
        self,
        host: HandlerContext,
        session_id: str,
        run_id: str,
        worker_request: MeasureEffects,
        asked: EffectsRequested,
        title: str,
    ) -> None:
        failure: Failure | None = None

        async def report(event: EngineEvent) -> None:
            await host.writer.append(EventDraft(session_id=session_id, run_id=run_id, event=event))

        try:
            await host.writer.append(EventDraft(session_id=session_id, run_id=run_id, event=asked))
            failure = await host.runs.run_unrecorded(worker_request, report, title=title, run_id=run_id)
        except HeadcodeError as error:
            failure = error.as_failure()
            host.runs.cancel_unrecorded(worker_request.job, force=False)
        finally:
            self._jobs.pop(run_id, None)
        state: RunState = "done" if failure is None else ("stopped" if failure.family == "cancelled" else "failed")
        ended = EffectsEnded(state=state, failure=None if state == "stopped" else failure)
        try:
            await host.writer.append(EventDraft(session_id=session_id, run_id=run_id, event=ended))
        except HeadcodeError as error:
            log.error("the end of a measurement on %s cannot be recorded: %s", run_id, error)


def end_open_measurements(recorder: Recorder) -> int:
    """Record the measurements that an earlier host left unfinished as interrupted; return their number.

    Called when a host starts: these measurements can have no worker any more.
    """
    failure = Failure(
        family="host", name="Interrupted", message="The host ended during the measurement.", hint="v measures again."
    )
    return close_open(recorder, EffectsRequested, EffectsEnded(state="interrupted", failure=failure))


def close_open(recorder: Recorder, begin: type[SessionEvent], end: SessionEvent) -> int:
    """Record `end` for every run whose last event of either kind is `begin`; return their number."""
    kinds: dict[str, object] = {"begin": str(begin.__struct_config__.tag), "end": str(end.__struct_config__.tag)}
    left = recorder.store.rows(_OPEN, kinds)
    if left:
        recorder.append([EventDraft(session_id=str(session), run_id=str(run), event=end) for session, run in left])
    return len(left)


def effects_request(store: Store, request: MeasureRunEffects, *, models: str, job: str) -> tuple[str, MeasureEffects]:
    """Return the run's session and the worker's request. Raises NoSuchRecord, NoSuchNode, ConfigError."""
    run = run_row(store, find_run(store, request.run))
    active_session(store, run.session_id)
    if run.state != "done" or run.model_info is None:
        raise NoSuchRecord(
            f"Run {run.number} is {run.state}: effects can only be measured on a finished run.",
            hint="Finish the run first.",
        )
    info, rerun = run.model_info, find_rerun(store, run.run_id)
    # Raises ConfigError for an unknown position policy.
    position = msgspec.structs.replace(run.config, position=request.position or run.config.position).position
    for layer, head in (*request.heads, *request.after):
        info.layout.check(NodeId(layer, head))
    _check_edges(info.layout, request)
    after = _circuit_of(store, run, request)
    if (after or request.after_name) and request.config.method != "exact":
        raise ConfigError(
            f"Effects with backups are measured exactly, but method {request.config.method!r} was requested.",
            hint="Leave the method out.",
        )
    ranking = ranked(run_side(store, run.run_id).nodes)
    circuit = store.rows("SELECT circuit FROM run WHERE run_id = $run", {"run": run.run_id})[0][0]
    worker_request = MeasureEffects(
        job=job,
        model=rerun.asked.model,
        identity=info.identity,
        config=request.config,
        examples=tuple(example for example in rerun.work.examples if example.enabled),
        position=position,
        task=run.task,
        seed=run.config.seeds[0],
        ranking=tuple((node.layer, node.head) for node in ranking),
        circuit=msgspec.json.decode(circuit, type=tuple[tuple[int, int], ...]) if circuit else (),
        heads=request.heads,
        after=after,
        after_name="the run's circuit"
        if request.after_name == OWN_CIRCUIT
        else request.after_name or _name_heads(after),
        edges=request.edges,
        models=models,
        nodes=info.nodes,
        **rerun.as_loaded,
    )
    return run.session_id, worker_request


def _check_edges(layout: NodeLayout, request: MeasureRunEffects) -> None:
    """Raise NoSuchNode for an edge of other nodes, ConfigError for one against the forward pass."""
    if not request.edges:
        return
    if request.config.method != "exact":
        raise ConfigError(
            f"Chosen edges are measured exactly, but method {request.config.method!r} was requested.",
            hint="Leave the method out.",
        )
    for source, target in ((NodeId(*source), NodeId(*target)) for source, target in request.edges):
        layout.check(source)
        layout.check(target)
        if layout.place(source) >= layout.place(target):
            raise ConfigError(
                f"{source} to {target} is no edge: {target} does not read what {source} writes.",
                hint="The source comes first in the forward pass: 2.3 to 4.1, 2.3 to m2, emb to 0.1.",
            )


def _circuit_of(store: Store, run: RunRow, request: MeasureRunEffects) -> tuple[tuple[int, int], ...]:
    """Return the backup heads: those that were named, the run's circuit, or a saved one's.

    Raises NoSuchRecord, NoSuchNode.
    """
    if request.after or not request.after_name:
        return request.after
    if request.after_name == OWN_CIRCUIT:
        return stored_circuit(store, run, instead="--after 2.3,4.1")
    heads = find_circuit(store, request.after_name.removeprefix("circuit:"), session_id=run.session_id).heads
    info = run.model_info
    for layer, head in heads:
        if info is not None:
            info.layout.check(NodeId(layer, head))
    return heads


def _name_heads(heads: tuple[tuple[int, int], ...]) -> str:
    names = [str(NodeId(*head)) for head in heads[:_MAX_NAMED]]
    return " ".join(names) + (f" and {len(heads) - _MAX_NAMED} more" if len(heads) > _MAX_NAMED else "")


# ---- handlers


async def ask_cause(host: HandlerContext, request: MeasureRunEffects) -> Done:
    """Measure the effects of a run's heads."""
    await host.get_state(EffectMeasurements).begin(host, request)
    return Done()


ANSWERS: dict[type, Answer] = {MeasureRunEffects: ask_cause}
