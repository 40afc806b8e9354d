"""A run as one JSON object, schema headcode.probe/1: its fields and names do not change; fields may be added."""

import math

import msgspec

from engine.analysis.effects import primary
from engine.analysis.ground_truth import agreement_with
from engine.analysis.run_state import RunSnapshot
from engine.measures import DEFAULT_MEASURE, NUMBERS, number_of
from engine.nodes import only_heads
from engine.results import Card, NodeScores
from sessions.rows import RunRow
from tui.output.node_json import node_fields, node_pair, node_pairs, to_json

SCHEMA = "headcode.probe/1"
CAUSE_SCHEMA = "headcode.cause/1"
MAX_EDGES = 200
_NODE_FIRST = (
    "unique_positive",
    "unique_negative",
    "overlap",
    "mutual_information",
    "total_variation",
    "unique_share",
    "paired_flips",
    "p_value",
    "q_value",
    "stability",
    "baseline_mean_difference",
    "baseline_paired_difference",
)


def probe_json(picture: RunSnapshot, run: RunRow) -> dict[str, object]:
    """Return the finished run as JSON values; null where a number does not apply, never NaN."""
    finished, model = picture.finished, picture.model
    if finished is None or model is None:
        raise ValueError(f"run {run.run_id} is not finished: half a result is not a result")
    mixed = has_other_nodes(picture)
    reference: dict[str, object] | None = None
    if picture.reference is not None:
        found = agreement_with(picture.reference, picture.nodes, finished.circuit, DEFAULT_MEASURE)
        reference = {
            "auc": _finite(found.auc),
            "precision": _finite(found.precision),
            "recall": _finite(found.recall),
            "name": picture.reference.name,
            "source": picture.reference.source,
            "heads": node_pairs(picture.reference.heads),
            "kind": picture.reference.kind,
        } | ({"covers": picture.reference.covers} if mixed else {})
    return {
        "schema": SCHEMA,
        "run_id": run.run_id,
        "session_id": run.session_id,
        "model": {
            "name": model.name,
            "identity": model.identity,
            "n_layers": model.n_layers,
            "n_heads": model.n_heads,
            "d_model": model.d_model,
            "d_head": model.d_head,
            "context": model.context,
            "vocabulary": model.vocabulary,
            **({"nodes": model.nodes, "parallel_mlps": model.parallel_mlps} if mixed else {}),
        },
        "examples": {
            "positive": finished.examples.positive,
            "negative": finished.examples.negative,
            "broken": finished.examples.broken,
            "distinct_positive": finished.examples.distinct_positive,
            "distinct_negative": finished.examples.distinct_negative,
            "clusters": finished.examples.clusters,
            "task": picture.task,
            "content_hash": picture.content_hash,
        },
        "config": msgspec.to_builtins(run.config),
        "nodes": [node_json(node, mixed=mixed) for node in picture.nodes],
        "edges": [
            {"source": node_pair(edge.source), "target": node_pair(edge.target), "score": _finite(edge.score)}
            for edge in picture.edges[:MAX_EDGES]
        ],
        "circuit": node_pairs(finished.circuit),
        "reference": reference,
        "timings_s": msgspec.to_builtins(finished.timings),
        "warm": picture.warm,
        "circuit_softmax": node_pairs(finished.circuit_softmax),
        "grades": [msgspec.to_builtins(grade) for grade in picture.grades],
        "notices": [{"message": notice.message, "hint": notice.hint} for notice in picture.notices],
        "versions": msgspec.to_builtins(picture.versions),
        "cached_activations": finished.cached,
        "run_number": run.number,
        "card": None if picture.card is None else {"chance": None, **_card(picture.card, mixed=mixed)},
        "cause": causes_json(picture),
        "cause_edges": to_json(picture.edge_effects, mixed=mixed),
        "exact_edges": to_json(picture.exact_edges, mixed=mixed),
        "circuit_checks": to_json(picture.checks, mixed=mixed),
        "known_circuit": _known_circuit(picture),
        "direct": msgspec.to_builtins(finished.direct),
    }


def _card(card: Card, *, mixed: bool) -> dict[str, object]:
    """Return the card without the resampling data behind its intervals."""
    stability = msgspec.structs.replace(card.stability, resampled=())
    found: dict[str, object] = to_json(msgspec.structs.replace(card, stability=stability), mixed=mixed)
    return found


def causes_json(picture: RunSnapshot) -> list[dict[str, object]]:
    """Return the effects by setting; `shown`: whether the measure of that name shows this one."""
    shown, mixed = primary(picture.causes), has_other_nodes(picture)
    return [
        {**to_json(cause, mixed=mixed), "why": cause.why, "shown": shown[cause.method] is cause}
        for cause in picture.causes
    ]


def _known_circuit(picture: RunSnapshot) -> dict[str, object] | None:
    """Return the known circuit of the requested task; `counts`: whether it applies to these examples."""
    offered = picture.offered
    if offered is None:
        return None
    heads = node_pairs(offered.heads)
    counts = picture.known is not None
    return {"name": offered.name, "source": offered.source, "kind": offered.kind, "heads": heads, "counts": counts}


def cause_json(
    found: RunSnapshot, run: RunRow, state: str, card: Card | None, whole: RunSnapshot | None = None
) -> dict[str, object]:
    """Return one effect measurement as JSON values; `state` says whether it completed.

    `whole`: the run with all effects ever measured on it.
    """
    mixed = has_other_nodes(found) or (whole is not None and has_other_nodes(whole))
    return {
        "schema": CAUSE_SCHEMA,
        "run_id": run.run_id,
        "session_id": run.session_id,
        "run_number": run.number,
        "state": state,
        "cause": causes_json(found),
        "run_cause": None if whole is None else causes_json(whole),
        "cause_edges": to_json(found.edge_effects, mixed=mixed),
        "exact_edges": to_json(found.exact_edges, mixed=mixed),
        "circuit_checks": to_json(found.checks, mixed=mixed),
        "notices": [{"message": notice.message, "hint": notice.hint} for notice in found.notices],
        "seconds": dict(found.seconds).get("cause"),
        "card": None if card is None else _card(card, mixed=mixed),
    }


def has_other_nodes(picture: RunSnapshot) -> bool:
    """Return True if the run looked at nodes that are no heads."""
    if picture.model is not None:
        return picture.model.nodes == "all"
    return not only_heads(node.id for node in picture.nodes)


def node_json(node: NodeScores, *, mixed: bool) -> dict[str, object]:
    """Return a node's scores. `mixed`: its run has nodes that are no heads."""
    ordered = dict.fromkeys((*_NODE_FIRST, *NUMBERS))
    return node_fields(node.id, mixed=mixed) | {name: _finite(number_of(node, name)) for name in ordered}


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
