"""Circuits of many draws are cut as the ranking of one run is, also where heads and MLPs are ranked together."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.ranking import circuit_by_rank, ranked
from engine.nodes import NodeLayout
from engine.scoring.code_occurrences import top_nodes
from engine.scoring.merging import kinds_of, merge_by_share

from ...run_parts import scores_of


@given(st.integers(0, 2**31), st.sampled_from(["all", "heads"]), st.integers(1, 30))
def test_the_first_nodes_of_a_draw_are_those_of_the_ranking(draw: int, choice: str, size: int) -> None:
    layout = NodeLayout(n_layers=4, n_heads=6, choice=choice)  # type: ignore[arg-type]
    source = torch.Generator().manual_seed(draw)
    variation = torch.randint(0, 4, (layout.n_nodes,), generator=source) / 4
    length = torch.rand(layout.n_nodes, generator=source)
    members = torch.tensor([node.in_circuits for node in layout.ids])
    variation, length = variation * members, length * members
    nodes = [
        scores_of(*node, total_variation=one, contrast_length=other, silent=0.0 if one else 1.0)
        for node, one, other in zip(layout.ids, variation.tolist(), length.tolist(), strict=True)
    ]
    inside = top_nodes(variation, length, size, kinds_of(layout))
    found = {node for node, here in zip(layout.ids, inside.tolist(), strict=True) if here}
    assert found == set(circuit_by_rank(nodes, size))
    many = top_nodes(variation.expand(3, -1), length.expand(3, -1), size, kinds_of(layout))
    assert torch.equal(many, inside.expand(3, -1))


def test_shares_of_kinds_are_merged() -> None:
    layout = NodeLayout(n_layers=2, n_heads=5, choice="all")
    kinds = kinds_of(layout)
    assert kinds is not None
    assert kinds.tolist() == [0] * 10 + [2, 1, 1]
    # Both MLPs and the embedding first of all: the second MLP is half of them.
    place = torch.tensor([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2])
    merged = merge_by_share(place, kinds)
    assert merged.argsort().tolist() == [10, 11, 0, 1, 2, 3, 4, 12, 5, 6, 7, 8, 9]
    assert torch.equal(merge_by_share(place, None), place)
    assert kinds_of(NodeLayout(n_layers=2, n_heads=5)) is None


@pytest.mark.parametrize("choice", ["all", "heads"])
def test_the_ranking_itself_agrees(choice: str) -> None:
    layout = NodeLayout(n_layers=3, n_heads=4, choice=choice)  # type: ignore[arg-type]
    nodes = [
        scores_of(*node, total_variation=0.5, contrast_length=1.0 + place) for place, node in enumerate(layout.ids)
    ]
    together = sorted(nodes, key=lambda node: (not node.id.in_circuits, -(node.contrast_length or 0.0)))
    place = torch.tensor([together.index(node) for node in nodes])
    order = merge_by_share(place, kinds_of(layout)).argsort().tolist()
    wanted = [node.id for node in ranked(nodes)]
    found = [layout.ids[row] for row in order]
    assert [node for node in found if node.in_circuits] == [node for node in wanted if node.in_circuits]
