"""Explain a code of a run: the warm worker computes it, and it is recorded with the run."""

from typing import Any

from engine.errors import ConfigError
from engine.explanations import AtlasWords, CodeExplanation
from engine.nodes import NodeId
from engine.protocol import CodeExplained, ExplainCode
from engine.results import ModelInfo
from sessions.errors import NoSuchRecord
from sessions.events import ExplanationRecorded
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.node_parts import answer_of, named_node, run_fields, weights_file
from sessions.ids import new_id
from sessions.protocol import Explained, GetExplanation
from sessions.rows import RunRow
from sessions.store.atlases import words_at, words_of
from sessions.store.database import Store
from sessions.store.explanations import recorded_explanation
from sessions.store.queries import find_run, run_row
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder


async def explain_code(host: HandlerContext, request: GetExplanation) -> Explained:
    """Return the explanation. Raises NoSuchRecord, NoSuchNode, ConfigError and the engine's errors."""

    def read(store: Store) -> tuple[RunRow, ModelInfo, NodeId, int, CodeExplanation | None]:
        run = run_row(store, find_run(store, request.run))
        if run.model_info is None:
            raise NoSuchRecord(f"Run {run.number} is {run.state}: it has no model yet.", hint="Finish the run first.")
        node = named_node(request.node, run.model_info)
        run.model_info.layout.check(node)
        seed = _seed(run, request.seed)
        known = None if request.again else recorded_explanation(store, run.run_id, node, request.code, seed)
        return run, run.model_info, node, seed, known

    run, info, node, seed, known = await host.writer.read(read)
    if known is not None:
        return Explained(run=run, model=info, explanation=known, recorded=True)
    atlas = await host.writer.read(lambda store: words_at(store, info.identity, node))
    answer = await compute_explanation(host, run.run_id, node, request.code, seed, atlas)

    def record(recorder: Recorder) -> tuple[None, list[RecordedEntry]]:
        event = ExplanationRecorded(explanation=answer.explanation)
        return None, recorder.append([EventDraft(session_id=run.session_id, run_id=run.run_id, event=event)])

    await host.writer.change(record)
    return Explained(run=run, model=answer.model, explanation=answer.explanation, recorded=False)


async def compute_explanation(
    host: HandlerContext,
    run_id: str,
    node: NodeId,
    code: int,
    seed: int,
    atlas: AtlasWords | None,
    *,
    verified: str = "",
) -> CodeExplained:
    """Explain a code with the model; nothing is recorded. `verified`: the run whose verification asks.

    Raises NoSuchRecord without weights, and the engine's errors.
    """

    def read(store: Store) -> tuple[RunRow, str, dict[str, Any]]:
        run = run_row(store, run_id)
        return run, *_inputs(store, run)

    run, sae, fields = await host.writer.read(read)
    worker_request = ExplainCode(
        job=new_id("x"),
        layer=node.layer,
        head=node.head,
        code=code,
        atlas=atlas,
        config=run.config,
        sae=weights_file(host, run, sae),
        seed_index=run.config.seeds.index(seed),
        activations=str(host.places.activations),
        models=str(host.places.models),
        **fields,
    )
    return await answer_of(host, worker_request, CodeExplained, verified=verified)


async def repeat_explanation(host: HandlerContext, run_id: str, then: CodeExplanation) -> CodeExplained:
    """Explain a code as it was explained, with words of the same atlas; nothing is recorded.

    Raises NoSuchRecord if the weights or the atlas are gone, StoreDamaged if it cannot be read, the engine's errors.
    """
    node = NodeId(then.layer, then.head)
    atlas = None
    if then.atlas_key:
        atlas = await host.writer.read(lambda store: words_of(store, then.atlas_key, then.atlas_corpus, node))
    return await compute_explanation(host, run_id, node, then.code, then.seed, atlas, verified=run_id)


def _seed(run: RunRow, seed: int | None) -> int:
    if seed is None:
        return run.config.seeds[0]
    if seed not in run.config.seeds:
        there = ", ".join(map(str, run.config.seeds))
        raise ConfigError(f"Run {run.number} has no seed {seed}.", hint=f"It has {there}.")
    return seed


def _inputs(store: Store, run: RunRow) -> tuple[str, dict[str, Any]]:
    """Return the name of the run's SAE weights, and the fields of a request. Raises NoSuchRecord without weights."""
    row = store.one("SELECT sae_sha256 FROM run WHERE run_id = $run", {"run": run.run_id})
    if row is None or row[0] is None:
        raise NoSuchRecord(f"Run {run.number} stored no autoencoder.", hint="Run it again to the end.")
    return str(row[0]), run_fields(store, run.run_id)[2]


ANSWERS: dict[type, Answer] = {GetExplanation: explain_code}
SLOW: frozenset[type] = frozenset(ANSWERS)
