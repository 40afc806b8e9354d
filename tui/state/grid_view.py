"""A grid as it is viewed: measure, ranking, cut and agreement with the known circuit."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from engine.analysis.ground_truth import agreement_with
from engine.analysis.ranking import agreement, can_enter, default_circuit_size, members, ranked, same_score
from engine.measures import Measure, intensity, value_of
from engine.nodes import EMBEDDING, NodeId
from engine.results import Agreement, NodeScores, Reference
from tui.state.node_words import node_noun
from tui.terminal.sanitize import clean

_COUNTS = ("unique_positive", "unique_negative", "from_edges")


class GridView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a grid, a ranking and a cut line show, computed together so that they agree."""

    nodes: Sequence[NodeScores]
    measure: Measure
    final: bool
    """False during training, while the scores may change."""
    by_head: dict[NodeId, NodeScores]
    names: dict[int, NodeId]
    """Heads by the identity of their nodes: creating 5,000 NodeIds again would be half the cost of another measure."""
    values: dict[NodeId, float | None]
    top: float
    """The value drawn at full intensity."""
    others: bool = False
    """True if there are MLPs and the embedding beside the heads."""
    by_heads: bool = False
    """True if `top` is the largest value of a head, and nodes that are none exceed it."""
    order: list[NodeId]
    """Best first."""
    rank: dict[NodeId, int]
    """Counted from 1. Heads without a value come last, in no particular order; see `rank_of`."""
    n_ranked: int
    """Number of nodes that have a value; the embedding, which is in every circuit, has no rank."""
    cut: int
    """Number of heads in the circuit."""
    circuit: frozenset[NodeId]
    known: frozenset[NodeId]
    reference: Reference | None
    agreement: Agreement | None
    """None if no circuit is known for this model and task."""
    tied: int = 0
    """Number of heads tied with the last one in the circuit, if some of them are outside it."""

    @property
    def ranked_apart(self) -> bool:
        """True if heads and MLPs are ranked each among their own (engine.analysis.ranking)."""
        return self.others and not self.measure.cause

    def noun(self, count: int) -> str:
        """Return what these nodes are called: head, heads, node or nodes."""
        return node_noun(count, others=self.others)

    def rank_of(self, head: NodeId) -> int | None:
        """Return the node's rank among the nodes that have a value, or None if it has none."""
        return self.rank.get(head) if self.values.get(head) is not None and head.in_circuits else None

    def unranked_reason(self, head: NodeId) -> str:
        """Return why a node has no rank."""
        if not head.in_circuits:
            return "in every circuit, not ranked"
        return "not measured" if self.measure.cause else "does not apply"

    def reference_label(self) -> str:
        """Return the label of heads in the reference: "mover", "known", or the name of a circuit."""
        if self.reference is None or self.reference.kind == "known":
            return "known"
        return "mover" if self.reference.kind == "effects" else clean(self.reference.name)

    def intensity_of(self, head: NodeId) -> float | None:
        """Return the head's value scaled from the floor (0) to the top value (1)."""
        return intensity(self.values.get(head), self.measure, self.top)


def make_grid_view(
    nodes: Sequence[NodeScores],
    *,
    measure: Measure,
    cut: int | None,
    reference: Reference | None,
    final: bool,
    before: GridView | None = None,
) -> GridView:
    """Return the view of these scores, reusing what has not changed since the view `before`."""
    size = min(default_circuit_size(len(members(nodes))) if cut is None else max(cut, 1), len(nodes))
    if before is not None and before.nodes is nodes and before.measure is measure and before.reference is reference:
        return before if before.cut == size else _cut(before, size)
    same = before is not None and before.nodes is nodes
    by_head = before.by_head if before is not None and same else {node.id: node for node in nodes}
    values = {head: _finite(value_of(node, measure)) for head, node in by_head.items()}
    present = [value for value in values.values() if value is not None]
    others = not nodes[-1].id.is_head if nodes else False
    top, by_heads = measure.ceiling, False
    if top is None:
        top, by_heads = scale_top(values, measure) if others else (brightest_value(present, measure), False)
    names = before.names if before is not None and same else {id(node): head for head, node in by_head.items()}
    order = [names[id(node)] for node in ranked(nodes, measure)]
    known = frozenset(NodeId(*head) for head in reference.heads) if reference is not None else frozenset()
    view = GridView(
        nodes=nodes,
        measure=measure,
        final=final,
        by_head=by_head,
        names=names,
        values=values,
        top=top,
        others=others,
        by_heads=by_heads,
        order=order,
        rank=dict(zip(order, range(1, len(order) + 1), strict=True)),
        n_ranked=len(present) - int(values.get(EMBEDDING) is not None),
        cut=size,
        circuit=frozenset(),
        known=known,
        reference=reference,
        agreement=agreement_with(reference, nodes, (), measure) if reference is not None else None,
    )
    return _cut(view, size)


def scale_top(values: Mapping[NodeId, float | None], measure: Measure) -> tuple[float, bool]:
    """Return the value drawn at full intensity if the measure has no ceiling, and whether MLPs exceed it.

    It is the largest value of a head, so that heads look as in a run without MLPs: one early MLP or
    the embedding can move the whole answer. If no head has a value, it is the largest of the MLPs.
    """
    kinds = [
        [value for node, value in values.items() if value is not None and node.is_head is is_head]
        for is_head in (True, False)
    ]
    top = brightest_value(kinds[0] or kinds[1], measure)
    return top, brightest_value([*kinds[1], top], measure) != top


def brightest_value(values: Sequence[float], measure: Measure) -> float:
    """Return the value drawn at full intensity if the measure has no ceiling.

    Counts are scaled to at least 1, so that a third of a code is not drawn at full intensity.
    """
    top = max(values, default=measure.floor) if measure.high_is_evidence else min(values, default=measure.floor)
    return max(top, 1.0) if measure.id in _COUNTS else top


def decimals_of(measure: Measure) -> int:
    """Return the useful number of decimals: three for p- and q-values, otherwise two."""
    return 3 if measure.id in ("p_value", "q_value") else 2


def _cut(view: GridView, size: int) -> GridView:
    taken = [head for head in view.order[:size] if can_enter(view.by_head[head], view.measure)]
    circuit = frozenset(taken)
    held = view.agreement
    if held is not None:
        # The AUC depends only on the measure; precision and recall follow the cut.
        judged = [head for head in circuit if view.reference is None or view.reference.covers == "all" or head.is_head]
        now = agreement((), judged, view.known, view.measure)
        held = Agreement(auc=held.auc, precision=now.precision, recall=now.recall)
    return msgspec.structs.replace(view, cut=size, circuit=circuit, agreement=held, tied=_tied(view, taken))


def _tied(view: GridView, taken: Sequence[NodeId]) -> int:
    """Return how many heads tie with the last one in the circuit if the next one ties, too; else 0."""
    rest = view.order[len(taken) : len(taken) + 1]
    if not taken or not rest:
        return 0
    last = view.by_head[taken[-1]]
    if not same_score(last, view.by_head[rest[0]], view.measure):
        return 0
    return sum(same_score(last, node, view.measure) for node in view.nodes)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
