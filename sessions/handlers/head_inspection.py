"""Inspect one head of a run: the warm worker answers, nothing is recorded."""

from collections import Counter
from typing import Any

from engine.errors import ExampleError, Failure
from engine.protocol import HeadInspected, InspectHead
from engine.results import NO_CODE
from sessions.errors import NoSuchRecord, error_from
from sessions.handlers.context import Answer, HandlerContext
from sessions.ids import new_id
from sessions.protocol import GetHeadInspection, HeadInspection
from sessions.rows import HeadCodes, RunRow
from sessions.store.database import Store
from sessions.store.queries import find_run, head_codes, run_row
from sessions.store.rerun import find_rerun

_MOST_CODES = 24


async def look_at_head(host: HandlerContext, request: GetHeadInspection) -> HeadInspection:
    """Return the inspection. Raises NoSuchRecord, NoSuchNode, ExampleError and the engine's errors."""
    (run, prompt, sae, codes), loaded = await host.writer.read(lambda store: _gather(store, request))
    own = None if codes is None else codes.codes[request.example]
    worker_request = InspectHead(
        job=new_id("l"),
        model=run.model,
        prompt=prompt,
        layer=request.layer,
        head=request.head,
        codes=_first_codes(codes, own),
        sae=_weights(host, sae),
        seed_index=0 if codes is None else run.config.seeds.index(codes.seed),
        models=str(host.places.models),
        **loaded,
    )
    answer = await host.supervisor.answer_side_request(worker_request)
    if isinstance(answer, Failure):
        raise error_from(answer)
    assert isinstance(answer, HeadInspected)
    return HeadInspection(
        model=answer.model,
        tokens=answer.tokens,
        skipped=answer.skipped,
        strength=answer.strength,
        attention=answer.attention,
        code=own,
        writes=answer.writes,
    )


def _weights(host: HandlerContext, sha256: str | None) -> str:
    """Return the path of the SAE weights; empty if there are none, as in a session that was imported without them."""
    path = host.places.data / "sae" / f"{sha256}.safetensors"
    return str(path) if sha256 is not None and path.is_file() else ""


def _gather(
    store: Store, request: GetHeadInspection
) -> tuple[tuple[RunRow, str, str | None, HeadCodes | None], dict[str, Any]]:
    """Return the run, the prompt, the name of its SAE weights, and the head's codes; the last two may be missing.

    Second, how the run's model was loaded.
    """
    run = run_row(store, find_run(store, request.run))
    rows = store.rows(
        "SELECT e.prompt, r.sae_sha256 FROM run r JOIN example e ON e.content_hash = r.content_hash "
        "WHERE r.run_id = $run AND e.position = $place",
        {"run": run.run_id, "place": request.example},
    )
    if not rows:
        raise ExampleError(f"Run {run.run_id} has no example {request.example + 1}.", hint="Count them from 1.")
    prompt, sae = rows[0]
    try:
        codes = head_codes(store, run.run_id, layer=request.layer, head=request.head, seed=request.seed)
    except NoSuchRecord:
        codes = None
    if codes is not None and request.example >= len(codes.codes):
        codes = None
    return (run, str(prompt), sae, codes), find_rerun(store, run.run_id).as_loaded


def _first_codes(codes: HeadCodes | None, own: int | None) -> tuple[int, ...]:
    """Return the prompt's own code, then the head's others, the most frequent first."""
    if codes is None:
        return ()
    ranked = [code for code, _ in Counter(codes.codes).most_common() if code not in (NO_CODE, own)]
    first = [own] if own is not None and own != NO_CODE else []
    return tuple([*first, *ranked][:_MOST_CODES])


ANSWERS: dict[type, Answer] = {GetHeadInspection: look_at_head}
SLOW: frozenset[type] = frozenset({GetHeadInspection})
