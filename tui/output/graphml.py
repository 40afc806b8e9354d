"""The nodes and edges of a run as GraphML, for Gephi, Cytoscape, igraph and NetworkX."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from engine.measures import MEASURES, value_of
from engine.nodes import names, only_heads
from engine.results import EdgeScore, NodeScores
from tui.output.node_json import node_pair
from tui.terminal.sanitize import clean


def graphml(
    nodes: Sequence[NodeScores],
    circuit: Collection[tuple[int, int]],
    edges: Sequence[EdgeScore],
    title: str,
    *,
    effects: Mapping[str, Mapping[tuple[tuple[int, int], tuple[int, int]], float]] = MappingProxyType({}),
    groups: Mapping[tuple[int, int], str] = MappingProxyType({}),
    pinned: Collection[tuple[int, int]] = (),
    folded: Collection[tuple[int, int]] = (),
) -> Iterator[str]:
    """Yield the lines of a directed graph.

    Nodes are named as on the screen (9.6, m8, emb), with layer, head, in_circuit and every measure that they have,
    their kind if not all are heads, their group if they are in one, and whether they are pinned, and whether their
    group is folded in the drawing, if any is: tools that merge nodes by an attribute make the same boxes. Edges have a
    score by codes and their place, 1 for the best; `effects`: other weights by name, signed, by (source, target).
    Values that are not finite are left out.
    """
    import networkx as nx

    graph = nx.DiGraph(name=clean(title))
    inside, pins, boxes = (set(map(tuple, each)) for each in (circuit, pinned, folded))
    mixed = not only_heads(node.id for node in nodes)
    for node in sorted(nodes, key=lambda node: node.id):
        values = {measure.id: value_of(node, measure) for measure in MEASURES}
        finite = {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
        about: dict[str, object] = {"kind": node.id.kind} if mixed else {}
        # A node of GraphML lacks what it does not have: an MLP has no head, the embedding no layer either.
        numbers = zip(("layer", "head"), node_pair(node.id), strict=True)
        about |= {name: number for name, number in numbers if number is not None}
        about |= {"group": clean(groups[node.id])} if node.id in groups else {}
        about |= {"pinned": node.id in pins} if pins else {}
        about |= {"folded": node.id in boxes} if boxes else {}
        graph.add_node(str(node.id), **about, in_circuit=node.id in inside, **finite)
    for place, edge in enumerate(edges, start=1):
        source, target = names((edge.source, edge.target))
        graph.add_edge(source, target, score=float(edge.score), place=place)
    for name, found in effects.items():
        for pair, effect in found.items():
            if math.isfinite(effect):
                source, target = names(pair)
                graph.add_edge(source, target, **{name: float(effect)})
    for line in nx.generate_graphml(graph, named_key_ids=True):
        yield f"{line}\n"
