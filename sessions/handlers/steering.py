"""Steer the model of a run: the warm worker measures, the run's log keeps it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from engine.config import EffectsConfig
from engine.errors import ConfigError, ExampleError
from engine.nodes import NodeId
from engine.protocol import ModelSteered, SteerModel
from engine.results import ModelInfo
from engine.steering import SteerPlan, SteerResult, format_plan
from sessions.edits.metadata import clean_note
from sessions.errors import NoSuchRecord
from sessions.events import NoteWritten, SteeringRecorded
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.effects import OWN_CIRCUIT
from sessions.handlers.node_parts import answer_of, named_node, run_fields, weights_file
from sessions.ids import new_id
from sessions.protocol import CheckSteering, GetSteering, ListSteerings, Steering, SteeringsAnswer
from sessions.rows import RunRow
from sessions.store.circuits import find_circuit, stored_circuit
from sessions.store.database import Store
from sessions.store.projections import event_decoder
from sessions.store.queries import active_session, find_run, run_row
from sessions.store.recorder import EventDraft


async def steer(host: HandlerContext, request: GetSteering, *, verified: str = "") -> Steering:
    """Return what steering does, measured or recorded. `verified`: the run whose verification asks.

    Raises NoSuchRecord, NoSuchNode, ConfigError, ExampleError, BadName for a note, and the engine's errors.
    """
    asked = await host.writer.read(lambda store: _read(store, request))
    run, plan, note = asked.run, asked.plan, asked.note
    words = None if note is None else note.text
    if asked.recorded is not None and not request.again:
        if note is not None:
            await host.writer.append(_draft(run, note))
        return msgspec.structs.replace(asked.recorded, note=words)
    worker_request = SteerModel(
        job=new_id("k"),
        plan=plan,
        sae=_weights(host, asked),
        seed_index=run.config.seeds.index(plan.seed),
        nodes=asked.info.nodes,
        config=EffectsConfig(
            method="exact",
            metric=run.config.cause.metric,
            replacement=plan.replacement if plan.kind in ("off", "only") else "zero",
            examples=plan.examples,
        ),
        models=str(host.places.models),
        **asked.fields,
    )
    first = await answer_of(host, msgspec.structs.replace(worker_request, doses=()), ModelSteered, verified=verified)
    result = first.result
    for strength in plan.strengths:
        part = msgspec.structs.replace(worker_request, job=new_id("k"), doses=(strength,))
        result = _joined(result, (await answer_of(host, part, ModelSteered, verified=verified)).result)
    event, at_us = SteeringRecorded(plan=plan, result=result), None
    if request.record:
        drafts = [_draft(run, each) for each in (event, note) if each is not None]
        at_us = (await host.writer.append(*drafts))[0].entry.at_us
    return Steering(run=run, model=first.model, steered=event, at_us=at_us, note=words)


async def check(host: HandlerContext, request: CheckSteering) -> SteeringsAnswer:
    """Return what is recorded of the same plan. Raises what `steer` raises without the model."""
    asked = await host.writer.read(lambda store: _read(store, request))
    if asked.recorded is None or request.again:
        _weights(host, asked)
    return SteeringsAnswer(run=asked.run, steerings=() if asked.recorded is None else (asked.recorded,))


async def list_steerings(host: HandlerContext, request: ListSteerings) -> SteeringsAnswer:
    """Return what was recorded of steering a run. Raises NoSuchRecord."""

    def read(store: Store) -> SteeringsAnswer:
        run = run_row(store, find_run(store, request.run))
        return SteeringsAnswer(run=run, steerings=tuple(_recorded(store, run)))

    return await host.writer.read(read)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request, checked, with what it needs of the store."""

    run: RunRow
    info: ModelInfo
    fields: dict[str, Any]
    """Of a worker's request."""
    plan: SteerPlan
    """With nodes and seed."""
    sae: str | None
    """SAE weights."""
    recorded: Steering | None
    """The newest of the same plan."""
    note: NoteWritten | None


def _read(store: Store, request: GetSteering | CheckSteering) -> _Asked:
    run, info, fields = run_fields(store, request.run)
    if not isinstance(request, GetSteering) or request.record:
        active_session(store, run.session_id)
    plan = request.plan
    seed = run.config.seeds[0] if plan.seed is None else plan.seed
    if seed not in run.config.seeds:
        raise ConfigError(f"The run has no seed {seed}.", hint=f"It has {', '.join(map(str, run.config.seeds))}.")
    nodes = _circuit(store, run, request.circuit) if request.circuit else plan.nodes
    if not nodes:
        raise ConfigError("No node is named.", hint="Nodes are written 9.6, m8 or emb.")
    for node in nodes:
        if plan.source == "stream" and not 0 <= node[0] < info.n_layers:
            raise ConfigError(
                f"There is no layer {node[0]}: layers are 0-{info.n_layers - 1}.",
                hint="For a head write 9.6, for an MLP m8.",
            )
        named_node(str(NodeId(*node)), info)
    plan = msgspec.structs.replace(plan, nodes=nodes, seed=seed)
    (sae,) = store.rows("SELECT sae_sha256 FROM run WHERE run_id = $run", {"run": run.run_id})[0]
    if plan.kind == "code":
        _check_code(run, info, plan, sae)
    n_examples = len(plan.prompts or fields["examples"])
    if plan.example >= n_examples:
        raise ExampleError(f"There is no example {plan.example + 1}.", hint=f"Examples are 1 to {n_examples}.")
    return _Asked(
        run=run,
        info=info,
        fields=fields,
        plan=plan,
        sae=sae,
        recorded=next((each for each in reversed(_recorded(store, run)) if each.steered.plan == plan), None),
        note=None if request.note is None else _note(request.note, plan, info),
    )


def _weights(host: HandlerContext, asked: _Asked) -> str:
    """Return the path of the SAE weights; empty for a plan without a code. Raises NoSuchRecord if they are gone."""
    if asked.plan.kind != "code":
        return ""
    assert asked.sae is not None  # checked before
    return weights_file(host, asked.run, asked.sae)


def _check_code(run: RunRow, info: ModelInfo, plan: SteerPlan, sae: str | None) -> None:
    """Raise NoSuchRecord for a run without SAE weights, ConfigError for a code or node that they do not have."""
    if sae is None:
        raise NoSuchRecord(
            f"Run {run.number} has no SAE weights: its codes have no directions.",
            hint="Run the probe again, or steer by a contrast.",
        )
    node, n_codes = NodeId(*plan.nodes[0]), run.config.sae.n_codes
    if not info.layout.has(node):
        raise ConfigError(f"The run has heads only: {node} has no codes in it.", hint="Run it with --nodes all.")
    if not 0 <= plan.code < n_codes:
        raise ConfigError(
            f"{node} has no code {plan.code}: its dictionary has codes 0 to {n_codes - 1}.",
            hint="The close look (enter) and headcode explain list the codes that the run saw.",
        )


def _note(text: str, plan: SteerPlan, info: ModelInfo) -> NoteWritten:
    """Return a note on the node that is steered, or on the run. Raises BadName for an empty or long text."""
    node = NodeId(*plan.nodes[0])
    on_node = len(plan.nodes) == 1 and plan.source == "node" and info.layout.has(node)
    words = clean_note(f"{format_plan(plan)}: {clean_note(text)}")
    return NoteWritten(note_id=new_id("n"), text=words, head=plan.nodes[0] if on_node else None)


def _draft(run: RunRow, event: SteeringRecorded | NoteWritten) -> EventDraft:
    return EventDraft(session_id=run.session_id, run_id=run.run_id, event=event)


def _circuit(store: Store, run: RunRow, name: str) -> tuple[tuple[int, int], ...]:
    if name == OWN_CIRCUIT:
        return stored_circuit(store, run, instead="2.3,4.1")
    return find_circuit(store, name.removeprefix("circuit:"), session_id=run.session_id).heads


def _recorded(store: Store, run: RunRow) -> list[Steering]:
    """Return what was recorded of the run, the oldest first; nothing if its model was not loaded."""
    if run.model_info is None:
        return []
    rows = store.rows(
        "SELECT at_us, payload FROM event WHERE session_id = $session AND run_id = $run AND kind = 'steered' "
        "ORDER BY seq",
        {"session": run.session_id, "run": run.run_id},
    )
    found = []
    for at_us, payload in rows:
        event = event_decoder.decode(payload)
        assert isinstance(event, SteeringRecorded)
        found.append(Steering(run=run, model=run.model_info, steered=event, at_us=at_us))
    return found


def _joined(result: SteerResult, part: SteerResult) -> SteerResult:
    """Return the result with more strengths of its curve."""
    return msgspec.structs.replace(
        result,
        metric=part.metric,
        base=part.base,
        prompts=part.prompts,
        points=(*result.points, *part.points),
        passes=round(result.passes + part.passes, 3),
        seconds=round(result.seconds + part.seconds, 3),
        notices=tuple(dict.fromkeys([*result.notices, *part.notices])),
    )


ANSWERS: dict[type, Answer] = {GetSteering: steer, CheckSteering: check, ListSteerings: list_steerings}
SLOW: frozenset[type] = frozenset({GetSteering})
