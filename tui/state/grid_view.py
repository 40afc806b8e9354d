"""One grid as it is looked at: measure, ranking, cut and how well that finds the known circuit."""

import math
from collections.abc import Sequence

import msgspec

from engine.analysis.ground_truth import agreement_with
from engine.analysis.ranking import agreement, default_circuit_size, has_signal, ranked, same_score
from engine.measures import Measure, loudness, value_of
from engine.results import Agreement, HeadId, HeadScores, Reference
from tui.terminal.sanitize import clean

_COUNTS = ("unique_positive", "unique_negative", "from_edges")


class GridView(msgspec.Struct, frozen=True, kw_only=True):
    """What a grid, a ranking and a cut line show; made whole so that they cannot disagree."""

    nodes: Sequence[HeadScores]
    measure: Measure
    final: bool
    """False: training goes on and the scores will change."""
    by_head: dict[HeadId, HeadScores]
    names: dict[int, HeadId]
    """The heads by the identity of their nodes: making five thousand names anew would be half of another measure."""
    values: dict[HeadId, float | None]
    top: float
    """The value that is drawn loudest."""
    order: list[HeadId]
    """Best first."""
    rank: dict[HeadId, int]
    """Counted from 1. Heads without a value stand behind all others, in no order of their own: see `placed`."""
    told: int
    """Heads that have a value."""
    cut: int
    """Heads taken into the circuit."""
    circuit: frozenset[HeadId]
    known: frozenset[HeadId]
    reference: Reference | None
    agreement: Agreement | None
    """None where no circuit is known for this model and task."""
    tied: int = 0
    """Heads with the score of the last one in the circuit, where some are left outside."""

    def rank_of(self, head: HeadId) -> int | None:
        """Its rank among the heads that have a value; None for one that has none."""
        return self.rank.get(head) if self.values.get(head) is not None else None

    def unranked_reason(self) -> str:
        """Why a head has no rank."""
        return "not measured" if self.measure.cause else "does not apply"

    def reference_label(self) -> str:
        """What a marked head is, in a word: a mover of the answer, known, or of a circuit by its name."""
        if self.reference is None or self.reference.kind == "known":
            return "known"
        return "mover" if self.reference.kind == "effects" else clean(self.reference.name)

    def loud(self, head: HeadId) -> float | None:
        """Where its value stands between silence (0) and the loudest (1)."""
        return loudness(self.values.get(head), self.measure, self.top)


def make_grid_view(
    nodes: Sequence[HeadScores],
    *,
    measure: Measure,
    cut: int | None,
    reference: Reference | None,
    final: bool,
    before: GridView | None = None,
) -> GridView:
    """The view of these scores. `before` is the last one: what has not changed is taken from it."""
    size = min(default_circuit_size(len(nodes)) if cut is None else max(cut, 1), len(nodes))
    if before is not None and before.nodes is nodes and before.measure is measure and before.reference is reference:
        return before if before.cut == size else _cut(before, size)
    same = before is not None and before.nodes is nodes
    by_head = before.by_head if before is not None and same else {node.id: node for node in nodes}
    values = {head: _finite(value_of(node, measure)) for head, node in by_head.items()}
    present = [value for value in values.values() if value is not None]
    top = measure.ceiling
    if top is None:
        top = loudest(present, measure)
    names = before.names if before is not None and same else {id(node): head for head, node in by_head.items()}
    order = [names[id(node)] for node in ranked(nodes, measure)]
    known = frozenset(HeadId(*head) for head in reference.heads) if reference is not None else frozenset()
    view = GridView(
        nodes=nodes,
        measure=measure,
        final=final,
        by_head=by_head,
        names=names,
        values=values,
        top=top,
        order=order,
        rank=dict(zip(order, range(1, len(order) + 1), strict=True)),
        told=len(present),
        cut=size,
        circuit=frozenset(),
        known=known,
        reference=reference,
        agreement=agreement_with(reference, nodes, (), measure) if reference is not None else None,
    )
    return _cut(view, size)


def loudest(values: Sequence[float], measure: Measure) -> float:
    """The value that is drawn loudest where the measure has no ceiling. A third of a code is no yellow: counts that
    never reach one are held against one."""
    top = max(values, default=measure.floor) if measure.high_speaks else min(values, default=measure.floor)
    return max(top, 1.0) if measure.id in _COUNTS else top


def decimals_of(measure: Measure) -> int:
    """Decimals worth showing: chances are told apart in the third, everything else in the second."""
    return 3 if measure.id in ("p_value", "q_value") else 2


def _cut(view: GridView, size: int) -> GridView:
    taken = [head for head in view.order[:size] if has_signal(view.by_head[head], view.measure)]
    circuit = frozenset(taken)
    held = view.agreement
    if held is not None:
        # The AUC is the measure's alone; only precision and recall follow the cut.
        now = agreement((), circuit, view.known, view.measure)
        held = Agreement(auc=held.auc, precision=now.precision, recall=now.recall)
    return msgspec.structs.replace(view, cut=size, circuit=circuit, agreement=held, tied=_tied(view, taken))


def _tied(view: GridView, taken: Sequence[HeadId]) -> int:
    """How many heads have the score of the last one taken, where the next one has it, too; else 0."""
    rest = view.order[len(taken) : len(taken) + 1]
    if not taken or not rest:
        return 0
    last = view.by_head[taken[-1]]
    if not same_score(last, view.by_head[rest[0]], view.measure):
        return 0
    return sum(same_score(last, node, view.measure) for node in view.nodes)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
