"""Explanations that were recorded with a run."""

from engine.explanations import CodeExplanation
from engine.nodes import NodeId
from sessions.events import ExplanationRecorded
from sessions.store.database import Store
from sessions.store.projections import event_decoder


def recorded_explanation(store: Store, run_id: str, node: NodeId, code: int, seed: int) -> CodeExplanation | None:
    """Return the newest explanation of the code that was recorded with the run; None if there is none."""
    row = store.one(
        "SELECT max_by(payload, seq) FROM event WHERE run_id = $run AND kind = 'code_explained' "
        "AND CAST(payload->>'$.explanation.layer' AS INTEGER) = $layer "
        "AND CAST(payload->>'$.explanation.head' AS INTEGER) = $head "
        "AND CAST(payload->>'$.explanation.code' AS INTEGER) = $code "
        "AND CAST(payload->>'$.explanation.seed' AS BIGINT) = $seed",
        {"run": run_id, "layer": node.layer, "head": node.head, "code": code, "seed": seed},
    )
    if row is None or row[0] is None:
        return None
    event = event_decoder.decode(row[0])
    assert isinstance(event, ExplanationRecorded)
    return event.explanation
