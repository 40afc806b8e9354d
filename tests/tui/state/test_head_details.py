"""What a head's score rests on, its edges and its past, against the plain definitions."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.measures import find_measure
from engine.nodes import NodeId
from engine.results import NO_CODE, EdgeScore
from tui.state.head_details import HeadInRun, RankingCache, edges_of, leave_one_out

CODED = st.lists(st.tuples(st.integers(NO_CODE, 4), st.booleans()), max_size=12)


def unique(coded: list[tuple[int, bool]]) -> int:
    here = {code for code, positive in coded if positive and code != NO_CODE}
    return len(here - {code for code, positive in coded if not positive})


@given(CODED)
def test_leaving_one_out_is_scoring_without_it(coded: list[tuple[int, bool]]) -> None:
    score, changed = leave_one_out([code for code, _ in coded], [positive for _, positive in coded])
    assert score == unique(coded)
    plain = {index: unique(coded[:index] + coded[index + 1 :]) for index in range(len(coded))}
    assert {each.example: each.score for each in changed} == {
        index: value for index, value in plain.items() if value != score
    }


def test_edges_are_told_by_their_direction() -> None:
    edges = [EdgeScore(source=(0, 1), target=(2, 3), score=5), EdgeScore(source=(2, 3), target=(3, 0), score=4)]
    found = edges_of(NodeId(2, 3), edges)
    assert found.into == [(NodeId(0, 1), 5)]
    assert found.out == [(NodeId(3, 0), 4)]


def test_the_past_of_a_head_is_its_rank_in_each_run(recorded: Any) -> None:
    nodes = recorded.nodes(6, 8)
    measure = find_measure("unique_positive")
    best = max(nodes, key=lambda node: node.unique_positive)
    pasts = RankingCache()
    found = pasts.of(best.id, 3, nodes, measure, 1)
    assert found is not None
    assert (found.number, found.rank, found.inside) == (3, 1, True)
    assert pasts.of(NodeId(99, 0), 3, nodes, measure, 1) is None
    other = find_measure("overlap")
    worst = max(nodes, key=lambda node: (node.overlap, -node.unique_share, node.id))
    for number in (1, 2):
        assert pasts.of(worst.id, number, nodes, other, 1) == HeadInRun(number, worst.overlap, 48, False)
