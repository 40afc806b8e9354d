"""Steer the model of a run: the warm worker measures, the run's log keeps it."""

from typing import Any

import msgspec

from engine.config import EffectsConfig
from engine.errors import ConfigError
from engine.nodes import NodeId
from engine.protocol import ModelSteered, SteerModel
from engine.results import ModelInfo
from engine.steering import SteerPlan, SteerResult
from sessions.errors import NoSuchRecord
from sessions.events import SteeringRecorded
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.effects import OWN_CIRCUIT
from sessions.handlers.node_parts import answer_of, named_node, run_fields
from sessions.ids import new_id
from sessions.protocol import GetSteering, ListSteerings, Steering, SteeringsAnswer
from sessions.rows import RunRow
from sessions.store.circuits import find_circuit, stored_circuit
from sessions.store.database import Store
from sessions.store.projections import event_decoder
from sessions.store.queries import active_session, find_run, run_row
from sessions.store.recorder import EventDraft


async def steer(host: HandlerContext, request: GetSteering) -> Steering:
    """Return what steering does, measured or recorded.

    Raises NoSuchRecord, NoSuchNode, ConfigError, ExampleError and the engine's errors.
    """
    run, info, fields, plan, sae, found = await host.writer.read(lambda store: _read(store, request))
    if found is not None and not request.again:
        return found
    worker_request = SteerModel(
        job=new_id("k"),
        plan=plan,
        sae="" if sae is None else str(host.places.data / "sae" / f"{sae}.safetensors"),
        seed_index=run.config.seeds.index(plan.seed),
        nodes=info.nodes,
        config=EffectsConfig(
            method="exact",
            metric=run.config.cause.metric,
            replacement=plan.replacement if plan.kind in ("off", "only") else "zero",
            examples=plan.examples,
        ),
        models=str(host.places.models),
        **fields,
    )
    first = await answer_of(host, msgspec.structs.replace(worker_request, doses=()), ModelSteered)
    result = first.result
    for strength in plan.strengths:
        part = msgspec.structs.replace(worker_request, job=new_id("k"), doses=(strength,))
        result = _joined(result, (await answer_of(host, part, ModelSteered)).result)
    event, at_us = SteeringRecorded(plan=plan, result=result), None
    if request.record:
        (recorded,) = await host.writer.append(EventDraft(session_id=run.session_id, run_id=run.run_id, event=event))
        at_us = recorded.entry.at_us
    return Steering(run=run, model=first.model, steered=event, at_us=at_us)


async def list_steerings(host: HandlerContext, request: ListSteerings) -> SteeringsAnswer:
    """Return what was recorded of steering a run. Raises NoSuchRecord."""

    def read(store: Store) -> SteeringsAnswer:
        run = run_row(store, find_run(store, request.run))
        return SteeringsAnswer(run=run, steerings=tuple(_recorded(store, run)))

    return await host.writer.read(read)


def _read(
    store: Store, request: GetSteering
) -> tuple[RunRow, ModelInfo, dict[str, Any], SteerPlan, str | None, Steering | None]:
    """Return the run, its model, fields of a worker's request, the plan in full, SAE weights, and what is recorded."""
    run, info, fields = run_fields(store, request.run)
    if request.record:
        active_session(store, run.session_id)
    plan = request.plan
    seed = run.config.seeds[0] if plan.seed is None else plan.seed
    if seed not in run.config.seeds:
        raise ConfigError(f"The run has no seed {seed}.", hint=f"It has {', '.join(map(str, run.config.seeds))}.")
    nodes = _circuit(store, run, request.circuit) if request.circuit else plan.nodes
    if not nodes:
        raise ConfigError("No node is named.", hint="Nodes are written 9.6, m8 or emb.")
    for node in nodes:
        named_node(str(NodeId(*node)), info)
    plan = msgspec.structs.replace(plan, nodes=nodes, seed=seed)
    (sae,) = store.rows("SELECT sae_sha256 FROM run WHERE run_id = $run", {"run": run.run_id})[0]
    if plan.kind == "code" and sae is None:
        raise NoSuchRecord(
            f"Run {run.number} has no SAE weights: its codes have no directions.",
            hint="Run the probe again, or steer by a contrast.",
        )
    found = None
    if not request.again:
        found = next((each for each in reversed(_recorded(store, run)) if each.steered.plan == plan), None)
    return run, info, fields, plan, sae, found


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


ANSWERS: dict[type, Answer] = {GetSteering: steer, ListSteerings: list_steerings}
SLOW: frozenset[type] = frozenset({GetSteering})
