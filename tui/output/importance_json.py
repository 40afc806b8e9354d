"""Importance JSON of circuit finding, as written by EAP-IG and read by the MIB circuit track (docs/exports.md).

One object of `cfg`, `nodes` and `edges`. Nodes are `input`, `aL.hH` for head H of layer L, `mL` for a layer's MLP, and
`logits`; an edge is `parent->child`, into a head with the input it enters by: `m0->a1.h2<q>`. Each says whether it is
`in_graph`; edges have a `score`, nodes where they were scored. In models whose MLPs stand beside attention
(`cfg.parallel_attn_mlp`) a layer's heads have no edge to its MLP.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from engine.analysis.ranking import default_circuit_size
from engine.errors import InputError
from engine.measures import Measure, value_of
from engine.nodes import EMBEDDING, NO_HEAD, NodeChoice, NodeId, NodeLayout, mlp, only_heads
from engine.results import EdgeScore, ModelInfo, NodeScores

MAX_BYTES = 256 << 20
_MAX_SIDE = 1_000
_NODE = re.compile(r"a(?P<layer>\d{1,4})\.h(?P<head>\d{1,4})|m(?P<mlp>\d{1,4})|input", re.ASCII)
_EDGE = re.compile(r"(a\d{1,4}\.h\d{1,4}|m\d{1,4}|input)->.{1,40}")
_INPUT = "input"
_HINT = "Use a file written by EAP-IG's Graph.to_json: an object of cfg, nodes and edges."


class BadImportance(InputError):
    """The file is not importance JSON."""


class ImportanceFile(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of an importance file: its heads; MLPs and input, too, if it has scores of them.

    Headcode's own files of runs with heads only have MLPs without scores: they are in every graph.
    """

    n_layers: int
    n_heads: int
    inside: tuple[NodeId, ...]
    """Nodes that are in the graph; never the input, which is in every circuit."""
    scores: dict[NodeId, float]
    """Node scores if there are any, else the summed absolute scores of the edges that leave the node."""
    scored_by: str
    """Description of the scores; empty if there are none."""

    def circuit(self, top: int | None) -> tuple[tuple[NodeId, ...], str]:
        """Return the nodes of the circuit and a description of how they were chosen.

        The nodes in the graph, unless `top` requests the best ones or the graph contains none or all of them: files
        for the MIB track leave the choice to the evaluation.
        """
        if top is None and 0 < len(self.inside) < self.layout.n_members:
            return self.inside, f"the {_plural(self.inside)} that are in its graph"
        if not self.scores:
            raise BadImportance("The file has neither a circuit nor scores of heads.", hint=_HINT)
        size = default_circuit_size(self.layout.n_members) if top is None else top
        members = [node for node in self.scores if node.in_circuits]
        best = sorted(members, key=lambda node: (-abs(self.scores[node]), node))[:size]
        return tuple(best), f"the {len(best)} best {_plural(self.scores)} by {self.scored_by}"

    @property
    def layout(self) -> NodeLayout:
        """The nodes that the file is about."""
        choice: NodeChoice = "heads" if only_heads((*self.scores, *self.inside)) else "all"
        return NodeLayout(n_layers=self.n_layers, n_heads=self.n_heads, choice=choice)


def importance_json(
    model: ModelInfo,
    nodes: Sequence[NodeScores],
    measure: Measure,
    circuit: Collection[tuple[int, int]],
    edges: Sequence[EdgeScore],
    *,
    into_logits: Mapping[NodeId, float] = MappingProxyType({}),
) -> Iterator[str]:
    """Yield the file in pieces: every node and edge of the graph, in the graph's order.

    `edges`: scores of edges between nodes; `into_logits`: of edges from a node to the logits. Others have 0.

    A node's score is the distance of its measure from the floor, never negative. In runs of heads only, MLPs and the
    input have none, and a node without a score is always kept. An edge is in the graph if both its ends are.
    """
    mixed = model.nodes == "all"
    inside = {NodeId(*head) for head in circuit} | {EMBEDDING}
    if not mixed:
        inside |= {mlp(layer) for layer in range(model.n_layers)}
    scores = {node.id: importance(node, measure) for node in nodes}
    weights = {(NodeId(*edge.source), NodeId(*edge.target)): edge.score for edge in edges}
    parallel, shape = mixed and model.parallel_mlps, {"n_layers": model.n_layers, "n_heads": model.n_heads}
    cfg = {**shape, "parallel_attn_mlp": parallel, "d_model": model.d_model}
    yield f'{{"cfg": {json.dumps(cfg)}, "nodes": {{'
    of_a_layer = [*range(model.n_heads), NO_HEAD]
    for node in (EMBEDDING, *(NodeId(layer, head) for layer in range(model.n_layers) for head in of_a_layer)):
        entry: dict[str, object] = {"in_graph": node in inside}
        if node.is_head or mixed:
            entry["score"] = scores.get(node, 0.0)
        yield f'"{_name(node)}": {json.dumps(entry)}, '
    yield '"logits": {"in_graph": true}}, "edges": {'
    between = ""
    for parent, child, entry_by in graph_edges(model.n_layers, model.n_heads, parallel=parallel):
        score = into_logits.get(parent, 0.0) if child == "logits" else weights.get((parent, child), 0.0)
        both = parent in inside and (child == "logits" or child in inside)
        yield f'{between}"{_name(parent)}->{_name(child)}{entry_by}": {json.dumps({"score": score, "in_graph": both})}'
        between = ", "
    yield "}}\n"


def importance(node: NodeScores, measure: Measure) -> float:
    """Return the distance of the head's value from the floor; 0 without a value."""
    value = value_of(node, measure)
    if value is None or not math.isfinite(value):
        return 0.0
    return max(0.0, value - measure.floor if measure.high_is_evidence else measure.floor - value)


def graph_edges(
    n_layers: int, n_heads: int, *, parallel: bool = False
) -> Iterator[tuple[NodeId, NodeId | Literal["logits"], str]]:
    """Yield every edge: parent, child, and for a head the input it enters by.

    Attention comes before the MLP of its layer, unless they are parallel.
    """
    before = [EMBEDDING]
    for layer in range(n_layers):
        heads = [NodeId(layer, head) for head in range(n_heads)]
        for parent in before:
            for head in heads:
                for letter in "qkv":
                    yield parent, head, f"<{letter}>"
        for parent in before if parallel else [*before, *heads]:
            yield parent, mlp(layer), ""
        before += [*heads, mlp(layer)]
    for parent in before:
        yield parent, "logits", ""


def read_importance(path: Path) -> ImportanceFile:
    """Read the nodes of a file. Raises BadImportance with the reason."""
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
    inside: list[NodeId] = []
    scores: dict[NodeId, float] = {}
    for name, entry in found["nodes"].items():
        node = _node(path, name, n_layers, n_heads)
        if node is None:
            continue
        if entry is True or (isinstance(entry, dict) and entry.get("in_graph") is True):
            inside.append(node)
        score = entry.get("score") if isinstance(entry, dict) else None
        if isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < 1e300:
            scores[node] = float(score)
    scored_by = "node score" if scores else ""
    edges = found.get("edges")
    if not scores and isinstance(edges, dict):
        scores = _by_edges(path, edges, n_layers, n_heads)
        scored_by = "the scores of their edges"
    # MLPs without any score are in the graph as nodes that are always kept, not as nodes that were found.
    scored = any(node.kind == "mlp" for node in scores)
    if not scored:
        scores = {node: score for node, score in scores.items() if node.is_head}
    inside = [node for node in inside if node.is_head or (scored and node.in_circuits)]
    return ImportanceFile(
        n_layers=n_layers, n_heads=n_heads, inside=tuple(sorted(inside)), scores=scores, scored_by=scored_by
    )


def _by_edges(path: Path, edges: Mapping[str, object], n_layers: int, n_heads: int) -> dict[NodeId, float]:
    sums: dict[NodeId, float] = {}
    for name, entry in edges.items():
        parent = _EDGE.fullmatch(name)
        score = entry.get("score") if isinstance(entry, dict) else None
        if parent and isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < 1e300:
            node = _node(path, parent[1], n_layers, n_heads)
            if node is not None:
                sums[node] = sums.get(node, 0.0) + abs(score)
    if not any(score for node, score in sums.items() if node.kind == "mlp"):  # a file of heads only
        sums = {node: score for node, score in sums.items() if node.is_head}
    return sums if any(sums.values()) else {}


def _node(path: Path, name: str, n_layers: int, n_heads: int) -> NodeId | None:
    """Return the node of a name, None for the logits. Raises BadImportance if it is out of range."""
    match = _NODE.fullmatch(name)
    if match is None:
        return None
    if match["layer"] is not None:
        node = NodeId(int(match["layer"]), int(match["head"]))
    else:
        node = EMBEDDING if match["mlp"] is None else mlp(int(match["mlp"]))
    if node.layer >= n_layers or node.head >= n_heads:
        kind = "head" if node.is_head else "node"
        raise BadImportance(
            f"{path} names the {kind} {node}, but says there are {n_layers} layers of {n_heads} heads.", hint=_HINT
        )
    return node


def _plural(nodes: Iterable[NodeId]) -> str:
    return "heads" if only_heads(nodes) else "nodes"


def _side(path: Path, cfg: Mapping[str, object], name: str) -> int:
    value = cfg.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_SIDE:
        raise BadImportance(f"{path}: cfg.{name} is {str(value)[:40]}; it must be 1 to {_MAX_SIDE}.", hint=_HINT)
    return value


def _name(node: NodeId | Literal["logits"]) -> str:
    """Return the node's name in such files."""
    if node == "logits":
        return node
    return f"a{node.layer}.h{node.head}" if node.is_head else f"m{node.layer}" if node.in_circuits else _INPUT
