"""The drawing of the edges, and a table of the strongest."""

from collections.abc import Sequence

from engine.nodes import NodeId, names
from tui.headless.edge_picture import edge_svg
from tui.report.blocks import Block, Column, Paragraph, Picture, Section, Table, numbers, row
from tui.report.material import Material, percent
from tui.state.number_text import format_fixed
from tui.state.weighted_edges import WeightedEdge, cut_edges, measured_weights, weighted_edges

MOST_EDGES = 10
_WEIGHTS = {
    "codes": "the number of pairs of codes, one of each end, that occur together on positives and on no negative",
    "attribution": "the change of the answer, estimated from gradients, when what the first writes is replaced as "
    "far as "
    "the second reads it",
    "exact": "the change of the answer when what the first writes is replaced as far as the second reads it, measured",
}


def circuit(material: Material) -> Section | None:
    """Return the drawing as it was last viewed; None for a run without edges."""
    facts = material.facts
    picture, drawing = facts.picture, facts.drawing
    edges = cut_edges(weighted_edges(picture, drawing.weight), drawing)
    if not edges:
        return None
    title = f"Edges of {facts.name}"
    listed = ", ".join(" to ".join(names((edge.source, edge.target))) for edge in edges[:10])
    more = f", and {len(edges) - 10} more" if len(edges) > 10 else ""
    drawn = Picture(
        svg=edge_svg(picture, drawing, material.circuit, title),
        alt=f"Drawing of {len(edges)} edges between {material.noun}s, earlier layers above: {listed}{more}.",
        caption=f"The strongest {len(edges)} edges, earlier layers above. An edge joins two {material.noun}s, the "
        f"second "
        f"of which can read what the first writes; its weight is {_WEIGHTS[drawing.weight]}. The wider, the stronger; "
        f"dark frames are in the circuit. Code pairs show what goes together, not what causes what.",
        mermaid=_mermaid(edges, material.circuit),
    )
    blocks: list[Block] = [
        Paragraph(f"How the {material.noun}s may work together, from the first layer (top) to the last."),
        drawn,
    ]
    for weight in measured_weights(picture):
        found = weighted_edges(picture, weight)[:MOST_EDGES]
        share = weight != "codes"
        caption = f"The strongest {len(found)} edges; the number is {_WEIGHTS[weight]}" + (
            ", as a share of the answer. Below 0: the answer loses by it." if share else ", the mean over seeds."
        )
        rows = tuple(
            row(*names((each.source, each.target)), percent(each.weight) if share else format_fixed(each.weight, 1))
            for each in found
        )
        columns = (Column("From"), Column("To"), *numbers("Share of the answer" if share else "Code pairs"))
        blocks.append(Table(caption, columns, rows))
    return Section(id=material.id("circuit"), title="The circuit drawn", blocks=tuple(blocks))


def _mermaid(edges: Sequence[WeightedEdge], inside: Sequence[NodeId]) -> str:
    """Return the drawing as a Mermaid flowchart; nodes of the circuit are bold."""
    ids = {node: f"n{place}" for place, node in enumerate(dict.fromkeys(end for edge in edges for end in edge.nodes))}
    lines = ["flowchart TD"]
    lines += [f'  {key}["{node}"]{":::inside" if node in inside else ""}' for node, key in ids.items()]
    lines += [f"  {ids[edge.source]} -->|{format_fixed(edge.weight, 2)}| {ids[edge.target]}" for edge in edges]
    return "\n".join([*lines, "  classDef inside stroke-width:3px"])
