"""Texts of tooltips: sanitised, and never parsed as markup."""

from collections.abc import Sequence

from textual.content import Content

from engine.measures import Measure, value_of
from engine.nodes import NodeId
from tui.actions.key_labels import fill_keys
from tui.state.number_text import format_number
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.heat_cell import significance_sign, stability_sign
from tui.widgets.styled_line import fit

_MOST = 400
"""Maximum characters of a title."""


def tip(title: str, *lines: str) -> Content:
    """Return a tooltip with a bold title and lines of text."""
    texts = [Content(clean(line)) for line in lines if line]
    return Content("\n").join([Content.assemble((fit(clean(title), _MOST), "bold")), *texts])


def measure_tip(state: WorkbenchState, measure: Measure) -> Content:
    """Return the tooltip of a measure: its meaning and direction."""
    loud = "High" if measure.high_is_evidence else "Low"
    kind = "Needs no SAE: a baseline for the codes. " if measure.baseline else ""
    kind = kind or ("Measured by patching the model, not from codes. " if measure.cause else "")
    change = fill_keys("{measure.next} shows the next measure, {pick_measure} finds one by name.", state.key)
    meaning = measure.meaning[:1].upper() + measure.meaning[1:]
    return tip(measure.title, f"{meaning}.", f"{kind}{loud} values are evidence for a head.", change)


def head_tip(state: WorkbenchState, head: NodeId) -> Content | None:
    """Return the tooltip of a head: its value, rank, membership and significance; None without scores."""
    view = state.view()
    if view is None:
        return None
    node = view.by_head.get(head)
    if node is None:
        return None
    against = state.against()
    places = []
    if not head.in_circuits:
        places.append("in every circuit, not ranked")
    elif head in view.rank:
        places.append(f"rank {view.rank[head]} of {len(view.order) - int(view.others)}")
    places += ["in the circuit"] if head in view.circuit else []
    known = view.reference.name if view.reference is not None else "known"
    places += [f"◆ in {known}"] if head in view.known else []
    places += ["marked"] if head in state.marked else []
    sure = [f"q {format_number(node.q_value)}"] if node.q_value is not None else []
    sure += [f"in {node.stability:.0%} of the seeds' circuits"] if value_of(node, view.measure) is not None else []
    signs = (significance_sign(node.q_value) + stability_sign(node.stability)).strip()
    less = ""
    if against is not None and head in against.differences:
        less = f"minus {against.side.title}: {format_number(against.differences[head])}"
    return tip(
        f"{head}  {view.measure.title} {format_number(view.values.get(head))}",
        less,
        " · ".join(places),
        " · ".join(sure) + (f"  {signs}" if signs else ""),
        "" if view.final else "Provisional: the run is not finished.",
    )


def row_tip(state: WorkbenchState, nodes: Sequence[NodeId]) -> Content:
    """Return the tooltip of a row's label."""
    if nodes[0].kind == "embedding":
        return tip("The embedding", "What prompts begin with; it is in every circuit, unlisted. A click marks it.")
    what = "its heads" if nodes[-1].is_head else "its heads and its MLP"
    return tip(f"Layer {nodes[0].layer}", f"A click marks or unmarks {what}; {state.key('mark_layer')} too.")


def column_tip(node: NodeId) -> Content:
    """Return the tooltip of the label above a node."""
    if not node.is_head:
        return tip("The MLP of every layer", "A click marks or unmarks them.")
    return tip(f"Head {node.head} of every layer", "A click marks or unmarks them.")
