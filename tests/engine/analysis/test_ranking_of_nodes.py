"""Heads and MLPs in one ranking: each among their own by codes, together by effects; the embedding behind all."""

from engine.analysis.ground_truth import agreement_with, reference_from_effects
from engine.analysis.ranking import best_head, circuit_by_rank, circuit_by_softmax, members, ranked, strengths
from engine.measures import DEFAULT_MEASURE, find_measure
from engine.nodes import EMBEDDING, NodeId, mlp
from engine.results import NodeEffect, NodeScores, Reference

from ...run_parts import effects_measured, scores_of

EXACT = find_measure("exact_effect")


def node(which: NodeId, variation: float, **more: float) -> NodeScores:
    length = more.pop("contrast_length", 1.0)
    return scores_of(*which, total_variation=variation, unique_positive=10 * variation, contrast_length=length, **more)


HEADS = tuple(node(NodeId(0, head), 0.1 * (9 - head), exact_effect=0.01 * head) for head in range(10))
"""0.9 has none."""
MLPS = (node(mlp(0), 1.0, exact_effect=1.5), node(mlp(1), 0.95, exact_effect=0.05))
BEGIN = node(EMBEDDING, 1.0, exact_effect=2.0)
NODES = (*HEADS, BEGIN, *MLPS)


def test_by_codes_a_share_of_the_ranking_is_that_share_of_heads_and_of_mlps() -> None:
    order = [each.id for each in ranked(NODES)]
    assert [head for head in order if head.is_head] == [each.id for each in ranked(HEADS)]
    # Both MLPs have more than every head: the second is half of the MLPs, so it comes after half of the heads.
    assert " ".join(map(str, order)) == "m0 0.0 0.1 0.2 0.3 0.4 m1 0.5 0.6 0.7 0.8 0.9 emb"
    assert best_head(NODES) == NodeId(0, 0)


def test_effects_have_one_unit_and_are_ranked_together() -> None:
    order = [str(each.id) for each in ranked(NODES, EXACT)]
    assert order[:4] == ["m0", "0.9", "0.8", "0.7"]
    assert order.index("m1") == order.index("0.5") + 1 or order.index("m1") == order.index("0.5") - 1
    assert order[-1] == "emb"


def test_the_embedding_is_in_no_circuit() -> None:
    assert EMBEDDING not in circuit_by_rank(NODES, len(NODES))
    assert EMBEDDING not in circuit_by_softmax(NODES)
    assert len(members(NODES)) == len(NODES) - 1
    assert members(HEADS) is HEADS


def test_strengths_order_nodes_as_the_ranking_does() -> None:
    values = dict(zip((each.id for each in NODES), strengths(NODES, DEFAULT_MEASURE), strict=True))
    order = [each.id for each in ranked(NODES) if each.id.in_circuits and each.total_variation > 0]
    found = [values[each] for each in order]
    assert found == sorted(found, reverse=True)
    # Ties are between kinds only: the best MLP and the best head are both the best of their kind.
    assert len(set(found)) >= len(found) - 2


def test_tied_mlps_stay_tied() -> None:
    same = (node(mlp(0), 1.0), node(mlp(1), 1.0))
    values = strengths((*HEADS, *same), DEFAULT_MEASURE)
    assert values[-1] == values[-2]


def test_a_reference_of_heads_judges_heads_alone() -> None:
    known = Reference(name="published", source="", heads=((0, 0), (0, 1)))
    whole = agreement_with(known, NODES, [NodeId(0, 0), mlp(0)], DEFAULT_MEASURE)
    alone = agreement_with(known, HEADS, [NodeId(0, 0)], DEFAULT_MEASURE)
    assert whole == alone
    assert whole.precision == 1.0


def test_effects_of_all_nodes_are_a_reference_that_covers_mlps() -> None:
    effects = [NodeEffect(layer=each.layer, head=each.head, effect=-4 * (each.exact_effect or 0.0)) for each in NODES]
    found = reference_from_effects([effects_measured(effects)], len(NODES))
    assert found is not None
    assert found.covers == "all"
    assert set(found.heads) == {mlp(0), mlp(1), *(NodeId(0, head) for head in range(5, 10))}
    heads_only = reference_from_effects([effects_measured(effects[:10])], 10)
    assert heads_only is not None
    assert heads_only.covers == "heads"
    assert reference_from_effects([effects_measured(effects[:10])], len(NODES)) is None  # MLPs were not measured
    circuit = [NodeId(0, 9), mlp(0)]
    assert agreement_with(found, NODES, circuit, DEFAULT_MEASURE).precision == 1.0
