"""The grid: every node's number, layer by layer, as a table."""

from engine.measures import intensity, value_of
from engine.nodes import EMBEDDING, NO_HEAD, NodeId, NodeLayout
from engine.results import Reference
from tui.output.grid import format_short
from tui.report.blocks import LEVELS, Block, Cell, Column, Paragraph, Section, Table, strong
from tui.report.material import Material, listed


def _known(reference: Reference) -> str:
    return f" ° in a circuit known from elsewhere: {reference.name} ({reference.source})."


def grid(material: Material) -> Section:
    """Return the grid with a sentence on how to read it."""
    picture, measure = material.facts.picture, material.measure
    values = {node.id: value_of(node, measure) for node in picture.nodes}
    layout = NodeLayout.of(list(values))
    present = [value for value in values.values() if value is not None]
    pick = max if measure.high_is_evidence else min
    top = measure.ceiling if measure.ceiling is not None else pick(present, default=0.0)
    inside = set(material.circuit)
    known = {NodeId(*node) for node in picture.known.heads} if picture.known is not None else set()

    def cell(node: NodeId) -> Cell:
        value = values.get(node)
        share = intensity(value, measure, top)
        text = format_short(value).replace("-", "–") if value is None else format_short(value)
        mark = "*" if node in inside else ""
        ring = "°" if node in known else ""
        return Cell(text + mark + ring, None if share is None else round(share * LEVELS), node in inside)

    columns = [*range(layout.n_heads), *([NO_HEAD] if layout.choice == "all" else [])]
    rows: list[tuple[Cell, ...]] = []
    if layout.choice == "all":
        rows.append((Cell("embedding"), cell(EMBEDDING), *(Cell("") for _ in columns[1:])))
    for layer in range(layout.n_layers):
        rows.append((Cell(f"layer {layer}"), *(cell(NodeId(layer, head)) for head in columns)))
    caption = (
        strong(f"{measure.title}: {measure.meaning}."),
        f" A column is a head{'; the last one is the MLP' if layout.choice == 'all' else ''}. "
        f"{format_short(measure.floor)} is no signal, {format_short(top)} the strongest; the darker, the stronger. "
        f"* and a frame: in the circuit.{'' if picture.known is None else _known(picture.known)}",
    )
    titles = tuple(Column("MLP" if head == NO_HEAD else str(head)) for head in columns)
    tells = "how much of the answer a" if measure.of_answer else "how differently a"
    does = "carries" if measure.of_answer else "behaves on positives and negatives"
    words: list[Block] = [
        Paragraph(
            f"Each number tells {tells} {material.noun} {does}. The strongest {len(material.circuit)} are "
            f"{listed(material.circuit)}."
        )
    ]
    return Section(
        id=material.id("grid"),
        title=f"All {material.noun}s",
        blocks=(*words, Table(caption, (Column("Layer, head"), *titles), tuple(rows), dense=True)),
    )
