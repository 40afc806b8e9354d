"""Look inside a node of a run: the warm worker answers, nothing is recorded."""

from typing import Any

from engine.errors import Failure, NoSuchNode
from engine.nodes import NodeId, parse_node
from engine.protocol import MeasurePlaces, PlacesMeasured
from engine.results import ModelInfo
from sessions.errors import NoSuchRecord, error_from
from sessions.handlers.context import Answer, HandlerContext
from sessions.ids import new_id
from sessions.protocol import GetPlaces, Places
from sessions.rows import RunRow
from sessions.store.database import Store
from sessions.store.queries import find_run, run_row
from sessions.store.rerun import find_rerun


async def measure_places(host: HandlerContext, request: GetPlaces) -> Places:
    """Return the effects by position. Raises NoSuchRecord, NoSuchNode and the engine's errors."""
    run, info, fields = await host.writer.read(lambda store: _of_run(store, request.run))
    node = named_node(request.node, info)
    worker_request = MeasurePlaces(
        job=new_id("p"),
        layer=node.layer,
        head=node.head,
        config=request.config,
        models=str(host.places.models),
        **fields,
    )
    answer = await host.supervisor.answer_side_request(worker_request)
    if isinstance(answer, Failure):
        raise error_from(answer)
    assert isinstance(answer, PlacesMeasured)
    return Places(run=run, model=answer.model, how=answer.how, prompts=answer.prompts)


def named_node(text: str, info: ModelInfo) -> NodeId:
    """Return the node that is written so, an MLP of a run with heads only, too. Raises NoSuchNode."""
    node = parse_node(text[:40].strip())
    if node is None or (node.is_head and not info.layout.has(node)) or node.layer >= info.n_layers:
        raise NoSuchNode(text[:40], info.n_layers, info.n_heads, mlps=True)
    return node


def _of_run(store: Store, reference: str) -> tuple[RunRow, ModelInfo, dict[str, Any]]:
    """Return the run, its model, and the fields of a request for what is inside of its nodes.

    Raises NoSuchRecord if the run does not exist or was not loaded.
    """
    run = run_row(store, find_run(store, reference))
    if run.model_info is None:
        raise NoSuchRecord(f"Run {run.number} is {run.state}: it has no model yet.", hint="Finish the run first.")
    rerun = find_rerun(store, run.run_id)
    fields = {
        "model": rerun.asked.model,
        "identity": run.model_info.identity,
        "examples": tuple(example for example in rerun.work.examples if example.enabled),
        "task": run.task,
        **rerun.as_loaded,
    }
    return run, run.model_info, fields


ANSWERS: dict[type, Answer] = {GetPlaces: measure_places}
SLOW: frozenset[type] = frozenset({GetPlaces})
