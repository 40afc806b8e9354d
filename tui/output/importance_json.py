"""Importance JSON of circuit finding, as written by EAP-IG and read by the MIB circuit track (docs/exports.md).

One object of `cfg`, `nodes` and `edges`. Nodes are `input`, `aL.hH` for head H of layer L, `mL` for a layer's MLP, and
`logits`; an edge is `parent->child`, into a head with the input it enters by: `m0->a1.h2<q>`. Each says whether it is
`in_graph`; edges have a `score`, nodes where they were scored.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from engine.analysis.ranking import default_circuit_size
from engine.errors import InputError
from engine.measures import Measure, value_of
from engine.nodes import NodeId
from engine.results import EdgeScore, HeadId, HeadScores, ModelInfo

MAX_BYTES = 256 << 20
_MAX_SIDE = 1_000
_HEAD = re.compile(r"a(\d{1,4})\.h(\d{1,4})")
_EDGE = re.compile(r"(a\d{1,4}\.h\d{1,4})->.{1,40}")
_HINT = "Use a file written by EAP-IG's Graph.to_json: an object of cfg, nodes and edges."


class BadImportance(InputError):
    """The file is not importance JSON."""


class ImportanceFile(msgspec.Struct, frozen=True, kw_only=True):
    """The attention heads of an importance file."""

    n_layers: int
    n_heads: int
    inside: tuple[HeadId, ...]
    """Heads that are in the graph."""
    scores: dict[HeadId, float]
    """Node scores if there are any, else the summed absolute scores of the edges that leave the head."""
    scored_by: str
    """Description of the scores; empty if there are none."""

    def circuit(self, top: int | None) -> tuple[tuple[HeadId, ...], str]:
        """Return the heads of the circuit and a description of how they were chosen.

        The heads in the graph, unless `top` requests the best ones or the graph contains no head or all of them: files
        for the MIB track leave the choice to the evaluation.
        """
        if top is None and 0 < len(self.inside) < self.n_layers * self.n_heads:
            return self.inside, "the heads that are in its graph"
        if not self.scores:
            raise BadImportance("The file has neither a circuit nor scores of heads.", hint=_HINT)
        size = default_circuit_size(self.n_layers * self.n_heads) if top is None else top
        best = sorted(self.scores, key=lambda head: (-abs(self.scores[head]), head))[:size]
        return tuple(best), f"the {len(best)} best heads by {self.scored_by}"


def importance_json(
    model: ModelInfo,
    nodes: Sequence[HeadScores],
    measure: Measure,
    circuit: Collection[tuple[int, int]],
    edges: Sequence[EdgeScore],
) -> Iterator[str]:
    """Yield the file in pieces: every node and edge of the graph, in the graph's order.

    A head's score is the distance of its measure from the floor, never negative. MLPs and the input have none: Headcode
    does not score them, and a node without a score is always kept. An edge is in the graph if both its ends are.
    """
    inside = {HeadId(*head) for head in circuit}
    scores = {node.id: importance(node, measure) for node in nodes}
    weights = {(HeadId(*edge.source), HeadId(*edge.target)): edge.score for edge in edges}
    cfg = {"n_layers": model.n_layers, "n_heads": model.n_heads, "parallel_attn_mlp": False, "d_model": model.d_model}
    yield f'{{"cfg": {json.dumps(cfg)}, "nodes": {{"input": {{"in_graph": true}}'
    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            place = HeadId(layer, head)
            node = {"in_graph": place in inside, "score": scores.get(place, 0.0)}
            yield f', "{_name(place)}": {json.dumps(node)}'
        yield f', "m{layer}": {{"in_graph": true}}'
    yield ', "logits": {"in_graph": true}}, "edges": {'
    between = ""
    for parent, child, entry in graph_edges(model.n_layers, model.n_heads):
        score = 0.0
        if isinstance(parent, NodeId) and isinstance(child, NodeId):
            score = weights.get((parent, child), 0.0)
        both = all(not isinstance(end, NodeId) or end in inside for end in (parent, child))
        yield f'{between}"{_name(parent)}->{_name(child)}{entry}": {json.dumps({"score": score, "in_graph": both})}'
        between = ", "
    yield "}}\n"


def importance(node: HeadScores, measure: Measure) -> float:
    """Return the distance of the head's value from the floor; 0 without a value."""
    value = value_of(node, measure)
    if value is None or not math.isfinite(value):
        return 0.0
    return max(0.0, value - measure.floor if measure.high_is_evidence else measure.floor - value)


def graph_edges(n_layers: int, n_heads: int) -> Iterator[tuple[HeadId | str, HeadId | str, str]]:
    """Yield every edge: parent, child, and for a head the input it enters by.

    Attention comes before the MLP of its layer.
    """
    before: list[HeadId | str] = ["input"]
    for layer in range(n_layers):
        heads: list[HeadId | str] = [HeadId(layer, head) for head in range(n_heads)]
        for parent in before:
            for head in heads:
                for letter in "qkv":
                    yield parent, head, f"<{letter}>"
        before += heads
        for parent in before:
            yield parent, f"m{layer}", ""
        before.append(f"m{layer}")
    for parent in before:
        yield parent, "logits", ""


def read_importance(path: Path) -> ImportanceFile:
    """Read the heads of a file. Raises BadImportance with the reason."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadImportance(f"{path} cannot be read: {error.strerror}.", hint="Check the file name.") from error
    if len(raw) > MAX_BYTES:
        raise BadImportance(f"{path} is larger than {MAX_BYTES >> 20} MB.", hint=_HINT)
    try:
        # Python's own reader, as EAP-IG writes NaN for missing scores, which strict JSON does not allow.
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadImportance(f"{path} is not JSON: {str(error)[:200]}.", hint=_HINT) from error
    if not isinstance(found, dict) or not all(isinstance(found.get(key), dict) for key in ("cfg", "nodes")):
        raise BadImportance(f"{path} is not importance JSON: it lacks cfg or nodes.", hint=_HINT)
    n_layers, n_heads = (_side(path, found["cfg"], name) for name in ("n_layers", "n_heads"))
    inside: list[HeadId] = []
    scores: dict[HeadId, float] = {}
    for name, entry in found["nodes"].items():
        place = _head(path, name, n_layers, n_heads)
        if place is None:
            continue
        if entry is True or (isinstance(entry, dict) and entry.get("in_graph") is True):
            inside.append(place)
        score = entry.get("score") if isinstance(entry, dict) else None
        if isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < 1e300:
            scores[place] = float(score)
    scored_by = "node score" if scores else ""
    edges = found.get("edges")
    if not scores and isinstance(edges, dict):
        scores = _by_edges(path, edges, n_layers, n_heads)
        scored_by = "the scores of their edges"
    return ImportanceFile(
        n_layers=n_layers, n_heads=n_heads, inside=tuple(sorted(inside)), scores=scores, scored_by=scored_by
    )


def _by_edges(path: Path, edges: Mapping[str, object], n_layers: int, n_heads: int) -> dict[HeadId, float]:
    sums: dict[HeadId, float] = {}
    for name, entry in edges.items():
        parent = _EDGE.fullmatch(name)
        score = entry.get("score") if isinstance(entry, dict) else None
        if parent and isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < 1e300:
            place = _head(path, parent[1], n_layers, n_heads)
            if place is not None:
                sums[place] = sums.get(place, 0.0) + abs(score)
    return sums if any(sums.values()) else {}


def _head(path: Path, name: str, n_layers: int, n_heads: int) -> HeadId | None:
    """Return the head of a node's name, None for other nodes. Raises BadImportance if it is out of range."""
    match = _HEAD.fullmatch(name)
    if match is None:
        return None
    place = HeadId(int(match[1]), int(match[2]))
    if place.layer >= n_layers or place.head >= n_heads:
        raise BadImportance(
            f"{path} names the head {place}, but says there are {n_layers} layers of {n_heads} heads.", hint=_HINT
        )
    return place


def _side(path: Path, cfg: Mapping[str, object], name: str) -> int:
    value = cfg.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_SIDE:
        raise BadImportance(f"{path}: cfg.{name} is {str(value)[:40]}; it must be 1 to {_MAX_SIDE}.", hint=_HINT)
    return value


def _name(node: HeadId | str) -> str:
    return f"a{node.layer}.h{node.head}" if isinstance(node, NodeId) else node
