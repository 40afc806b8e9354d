"""Effects that were measured on some heads only: the others have no rank, and take no part in how well it was found."""

from typing import Any

import msgspec

from engine.measures import find_measure
from engine.nodes import NodeId
from engine.results import Reference
from tui.state.grid_view import make_grid_view

EXACT = find_measure("exact_effect")
KNOWN = Reference(name="known", source="a test", heads=((0, 1), (1, 2)))
MEASURED = {(0, 1): 0.5, (0, 0): 0.1, (0, 2): 0.2}
"""The known head first; the other known one was not measured, a measurement stopped before."""


def test_heads_that_were_not_measured_have_no_rank_and_do_not_count_as_last(recorded: Any) -> None:
    nodes = [
        msgspec.structs.replace(node, exact_effect=MEASURED.get((node.layer, node.head)))
        for node in recorded.nodes(2, 3)
    ]
    view = make_grid_view(nodes, measure=EXACT, cut=None, reference=KNOWN, final=True)
    assert view.n_ranked == 3
    assert [view.rank_of(NodeId(*head)) for head in ((0, 1), (0, 2), (0, 0), (1, 2))] == [1, 2, 3, None]
    assert view.unranked_reason(NodeId(0, 0)) == "not measured"
    assert view.agreement is not None
    assert view.agreement.auc == 1.0


def test_nothing_measured_finds_nothing(recorded: Any) -> None:
    view = make_grid_view(recorded.nodes(2, 3), measure=EXACT, cut=None, reference=KNOWN, final=True)
    assert (view.n_ranked, view.circuit) == (0, frozenset())
    assert view.agreement is not None
    assert view.agreement.auc is None
