"""Exports of edges: the drawing as a picture, importances by what was measured of the edges."""

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import msgspec
import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.run_state import RunSnapshot
from engine.events import EdgesAttributed, EdgesPatched
from engine.measures import find_measure
from engine.results import EdgeEffect, EdgeScore, ModelInfo
from sessions.comparison.comparison import ComparisonSide
from sessions.events import DrawingChanged, NodeGroup
from tui.commands.export_import import find_format
from tui.headless.edge_picture import edge_svg, run_graphml
from tui.headless.export_run import ExportedRun
from tui.state.folded_groups import FoldedGraph

from ..screens.test_edges import graphs

SVG = "{http://www.w3.org/2000/svg}"
PARALLEL = ModelInfo(
    name="x", identity="ab", n_layers=30, n_heads=12, d_model=8, d_head=2, context=8, vocabulary=8, nodes="all",
    parallel_mlps=True,
)  # fmt: skip


def effects(*edges: EdgeEffect) -> EdgesAttributed:
    return EdgesAttributed(
        metric="logit_difference", replacement="pair", base=2.0, n_examples=4, edges=edges, n_pairs=16, passes=1.0
    )


def exact(*edges: EdgeEffect) -> EdgesPatched:
    return EdgesPatched(metric="logit_difference", replacement="pair", base=2.0, n_examples=4, edges=edges, passes=1.0)


def importances(picture: RunSnapshot, measure: str) -> dict[str, float]:
    """The scores that are not zero of the edges in the importance JSON of the run."""
    side = ComparisonSide(
        reference="r", title="a/1", kind="run", nodes=picture.nodes, model=picture.model, n_layers=2, n_heads=4
    )
    run = ExportedRun(side=side, measure=find_measure(measure), circuit=(), edges=picture.edges, picture=picture)
    form = find_format("importances.json", None)
    assert form is not None
    assert form.text is not None
    written = json.loads("".join(form.text(run)))
    return {name: entry["score"] for name, entry in written["edges"].items() if entry["score"]}


def test_importances_by_an_effect_have_the_effects_of_edges(picture: RunSnapshot) -> None:
    one = EdgeEffect(source=(0, 2), target=(1, 0), effect=-0.5)
    two = EdgeEffect(source=(0, 1), target=(1, 3), effect=0.1)
    by_codes = dict.fromkeys(("a0.h1->a1.h3<q>", "a0.h1->a1.h3<k>", "a0.h1->a1.h3<v>"), 4.5)
    assert importances(picture, "total_variation") == importances(picture, "combined") == by_codes
    estimated = msgspec.structs.replace(picture, edge_effects=effects(one, two))
    assert importances(estimated, "total_variation") == by_codes
    found = importances(estimated, "combined")
    assert found["a0.h2->a1.h0<q>"] == -0.25
    assert found["a0.h1->a1.h3<v>"] == 0.05
    # Exact effects of some edges would leave out the rest; of all that the run has, they are better.
    assert not any("logits" in name for name in found), "this run has no direct effects"
    nodes = tuple(msgspec.structs.replace(node, other={"direct_effect": 0.25}) for node in picture.nodes)
    assert not any("logits" in name for name in importances(msgspec.structs.replace(picture, nodes=nodes), "combined"))
    direct = importances(msgspec.structs.replace(estimated, nodes=nodes), "combined")
    assert {name: score for name, score in direct.items() if name in found} == found
    assert {name: score for name, score in direct.items() if name not in found} == {
        f"a{node.layer}.h{node.head}->logits": 0.25 for node in nodes
    }
    some = msgspec.structs.replace(estimated, edges=(*picture.edges, EdgeScore(source=(0, 0), target=(1, 0), score=1)))
    patched = exact(EdgeEffect(source=(0, 1), target=(1, 3), effect=1.0))
    assert importances(msgspec.structs.replace(some, exact_edges=patched), "combined") == found
    whole = importances(msgspec.structs.replace(estimated, exact_edges=patched), "combined")
    assert set(whole.values()) == {0.5}


def test_the_picture_says_what_was_pruned_pinned_and_grouped(picture: RunSnapshot) -> None:
    seen = effects(
        EdgeEffect(source=(0, 2), target=(1, 0), effect=-0.5),
        EdgeEffect(source=(0, 1), target=(1, 3), effect=0.1),
        EdgeEffect(source=(0, 0), target=(1, 3), effect=0.001),
    )
    run = msgspec.structs.replace(picture, edge_effects=seen)
    groups = (NodeGroup(name="a & b", nodes=((0, 2), (1, 0))),)
    drawing = DrawingChanged(weight="attribution", least=0.5, pinned=((0, 0), (1, 1)), groups=groups)
    svg = edge_svg(run, drawing, ((1, 3),), "<run>")
    root = ElementTree.fromstring(svg)
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert texts[0] == "<run>"
    assert {"0.2 a", "1.0 a", "0.0", "1.3", "1.1"} <= set(texts), "a pinned node without edges stays, too"
    assert "0.1" not in texts
    assert any("Pruned below .50" in text and "Bold: pinned." in text for text in texts)
    assert texts[-1] == "a  a & b: 0.2 1.0"
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert titles[1:] == ["0.0 to 1.3: .001", "0.2 to 1.0: -.250"]


def test_a_folded_group_is_one_box_in_the_picture_and_an_attribute_in_the_graph(picture: RunSnapshot) -> None:
    seen = effects(
        EdgeEffect(source=(0, 2), target=(1, 0), effect=-0.5),
        EdgeEffect(source=(0, 2), target=(1, 3), effect=0.25),
        EdgeEffect(source=(0, 0), target=(1, 3), effect=0.125),
    )
    run = msgspec.structs.replace(picture, edge_effects=seen)
    groups = (NodeGroup(name="a & b", nodes=((1, 3), (1, 0)), folded=True), NodeGroup(name="c", nodes=((0, 0),)))
    drawing = DrawingChanged(weight="attribution", groups=groups)
    root = ElementTree.fromstring(edge_svg(run, drawing, ((1, 3), (1, 0)), "run"))
    texts = [each.text or "" for each in root.iter(f"{SVG}text")]
    assert {"0.2", "0.0 b", "a a & b ×2"} <= set(texts)
    assert not {"1.0", "1.3"} & set(texts)
    assert "a  a & b (folded): 1.0 1.3" in texts
    assert any("Double frame: a folded group" in text for text in texts)
    # -.5/2 + .25/2 and .125/2: shares of a base of 2.
    titles = [each.text for each in root.iter(f"{SVG}title")]
    assert titles[1:] == ["0.0 to a a & b ×2: .062", "0.2 to a a & b ×2: -.125, 2 edges summed, of both signs"]
    graph = nx.parse_graphml("".join(run_graphml(run, drawing, (), "run")))
    assert {node: graph.nodes[node].get("group") for node in ("1.0", "1.3", "0.0", "0.2")} == {
        "1.0": "a & b", "1.3": "a & b", "0.0": "c", "0.2": None
    }  # fmt: skip
    assert {node for node in graph if graph.nodes[node]["folded"]} == {"1.0", "1.3"}
    assert graph.edges["0.2", "1.0"]["attribution"] == -0.25, "edges of single nodes, not sums"


def box(rect: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(rect.get(name, 0)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def points(path: str) -> list[tuple[float, float]]:
    """Points along a path of M, L and C, forty a curve."""
    found: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MLC])([^MLC]+)", path):
        values = [float(each) for each in numbers.split()]
        ends = list(itertools.pairwise(values))[::2]
        if command == "C":
            start = found[-1]
            for step in range(1, 41):
                t = step / 40
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
                corners = [start, *ends]
                found.append(
                    tuple(sum(w * corner[axis] for w, corner in zip(weights, corners, strict=True)) for axis in (0, 1))  # type: ignore[arg-type]
                )
        elif command == "L":
            (x0, y0), (x1, y1) = found[-1], ends[0]
            found += [(x0 + (x1 - x0) * step / 10, y0 + (y1 - y0) * step / 10) for step in range(1, 11)]
        else:
            found += ends
    return found


@settings(deadline=None, max_examples=60)
@given(graphs(), st.lists(st.booleans(), min_size=2, max_size=2))
def test_no_line_of_the_picture_runs_through_a_node(graph: dict[str, Any], folds: list[bool]) -> None:
    edges, parallel = graph["edges"], graph["parallel"]
    named = enumerate(zip(graph["groups"], folds, strict=False))
    groups = tuple(NodeGroup(name=f"g{n}", nodes=group, folded=fold) for n, (group, fold) in named)
    drawing = DrawingChanged(groups=groups, pinned=graph["alone"])
    run = RunSnapshot(
        edges=tuple(EdgeScore(source=each.source, target=each.target, score=1.0) for each in edges),
        model=None if not parallel else PARALLEL,
    )
    drawn = FoldedGraph(edges, drawing).edges
    root = ElementTree.fromstring(edge_svg(run, drawing, (), "x", edges=drawn))
    boxes = [box(each) for each in root.iter(f"{SVG}rect") if each.get("rx")]
    for path in root.iter(f"{SVG}path"):
        along = points(path.get("d", ""))
        for left, top, right, bottom in boxes:
            assert not any(left < x < right and top < y < bottom for x, y in along)
