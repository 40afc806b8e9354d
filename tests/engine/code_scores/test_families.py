"""Families of codes that are planted, and numbers of co-occurrence and reconstruction by their definitions."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.code_families import CodeFamily
from engine.code_scores.code_changes import compare_codes
from engine.code_scores.families import LEVELS, find_families, occurrences, reconstruction, together
from engine.nodes import NodeId
from engine.results import NO_CODE

NODES = [NodeId(layer, head) for layer in range(3) for head in range(4)]
POSITIVE = np.arange(24) % 2 == 0
SEEDS = ((5, 6), (5, 6))
UNKNOWN = np.full(24, -1)
"""No answers."""


def planted() -> np.ndarray:
    """Four nodes with one code on the same positives, two of them with another on three; the rest is noise."""
    source = np.random.default_rng(5)
    codes = np.full((24, len(NODES)), NO_CODE)
    codes[:16:2, :4] = 7
    codes[[2, 6, 10], 2:4] = 9
    for column in range(4, len(NODES)):
        codes[source.choice(24, 6, replace=False), column] = 5
    return codes


def inside(families: tuple[CodeFamily, ...]) -> Iterator[CodeFamily]:
    for each in families:
        yield each
        yield from inside(each.children)


def test_planted_families_are_found_at_their_levels() -> None:
    tree = find_families(planted(), POSITIVE, NODES, seed=0)
    found = list(inside(tree.families))
    whole = next(each for each in found if {(code.layer, code.head) for code in each.codes} >= set(NODES[:2]))
    assert whole.parent.code == 7
    assert whole.parent.examples == whole.parent.positive == 8
    closest = [each for each in found if {code.code for code in each.codes} == {9}]
    assert [(each.nodes, each.together, each.reconstruction, each.level) for each in closest] == [(2, 1.0, 1.0, 0.9)]
    assert closest[0].chance < 0.5


def test_what_the_side_alone_explains_is_said() -> None:
    codes = np.where(POSITIVE, 3, 4)[:, None].repeat(4, axis=1)
    tree = find_families(codes, POSITIVE, NODES[:4], seed=0)
    assert [(len(each.codes), each.reconstruction, each.chance) for each in tree.families] == [(4, 1.0, 1.0)] * 2
    assert all(level.p_value == 1.0 and level.chance_codes == level.codes for level in tree.levels)


@given(arrays(bool, st.tuples(st.integers(1, 6), st.just(9))))
def test_co_occurrence_is_jaccards_index(occurs: np.ndarray) -> None:
    found = together(occurs)
    for one in range(len(occurs)):
        for other in range(len(occurs)):
            here, there = set(np.flatnonzero(occurs[one])), set(np.flatnonzero(occurs[other]))
            assert found[one, other] == pytest.approx(len(here & there) / max(len(here | there), 1))


def test_reconstruction_is_the_squared_correlation_for_one_child() -> None:
    source = np.random.default_rng(1)
    for _ in range(20):
        parent, child = source.random(30) < 0.4, source.random(30) < 0.5
        expected = np.corrcoef(parent, child)[0, 1] ** 2
        assert reconstruction(parent, child[None]) == pytest.approx(expected, abs=1e-9)
    assert reconstruction(parent, parent[None]) == 1.0
    assert reconstruction(parent, np.ones((1, 30), bool)) == 1.0


@given(arrays(np.int64, st.tuples(st.just(12), st.integers(1, 6)), elements=st.integers(-1, 2)))
def test_families_are_nested_and_every_two_codes_go_together(codes: np.ndarray) -> None:
    positive = np.arange(12) < 6
    nodes = NODES[: codes.shape[1]]
    tree = find_families(codes, positive, nodes, seed=0, shuffles=1)
    items, occurs, _ = occurrences(codes, positive, nodes)
    place = {(each.layer, each.head, each.code): at for at, each in enumerate(items)}

    def check(families: tuple[CodeFamily, ...], within: set[int], above: float) -> None:
        seen: set[int] = set()
        for each in families:
            members = [place[code.layer, code.head, code.code] for code in each.codes]
            assert len(members) > 1
            assert seen.isdisjoint(members)
            assert within.issuperset(members)
            seen |= set(members)
            assert each.level in LEVELS
            assert each.level > above
            assert together(occurs[members]).min() >= each.level - 1e-9
            assert each.parent.examples == max(code.examples for code in each.codes)
            check(each.children, set(members), each.level)

    check(tree.families, set(place.values()), 0.0)


def test_the_same_run_has_not_changed_whatever_its_codes_are_called() -> None:
    codes = np.stack([planted(), planted()])
    other = np.where(codes == NO_CODE, NO_CODE, codes + 100)
    found = compare_codes(codes, other, POSITIVE, NODES, SEEDS, UNKNOWN)
    assert (found.kept, len(found.gone), len(found.new)) == (found.codes_a, 0, 0)
    assert all(each.agreement == each.within == 1.0 for each in found.nodes)
    assert (found.expected, found.kept_between, found.families_expected) == (1.0, 1.0, 1.0)
    assert found.same_seed
    assert found.families_gone == found.families_new == ()


def test_a_node_that_changed_comes_first_and_its_code_is_gone() -> None:
    codes = planted()[None]
    other = codes.copy()
    other[0, :, 1] = NO_CODE
    other[0, 1:16:2, 1] = 7  # on negatives in place of positives
    found = compare_codes(codes, other, POSITIVE, NODES, ((0,), (0,)), UNKNOWN)
    assert (found.nodes[0].layer, found.nodes[0].head) == NODES[1]
    assert [(each.code.layer, each.code.head, each.code.code, each.alike) for each in found.gone] == [(0, 1, 7, 0.0)]
    assert [(each.code.positive, each.match) for each in found.new] == [(0, None)]
    assert found.expected is None
    assert found.kept_between is None


def test_the_same_seed_tells_models_apart_where_seeds_differ_more() -> None:
    # Under each seed a node sorts the prompts its own way; B's node 1 does otherwise under every seed.
    source = np.random.default_rng(4)
    codes = np.stack([source.integers(0, 3, (24, len(NODES))) for _ in SEEDS[0]])
    other = codes.copy()
    other[:, :, 1] = source.integers(0, 3, (2, 24))
    found = compare_codes(codes, other[::-1], POSITIVE, NODES, (SEEDS[0], SEEDS[0][::-1]), UNKNOWN)
    first, *others = found.nodes
    assert (first.layer, first.head) == NODES[1]
    assert first.agreement < 0.5
    assert all(each.agreement == 1.0 for each in others)
    assert all(each.within < 0.5 for each in found.nodes)
    # Without a common seed nothing tells that node from the others.
    apart = compare_codes(codes, other, POSITIVE, NODES, ((0, 1), (2, 3)), UNKNOWN)
    assert not apart.same_seed
    assert all(each.agreement < 1.0 for each in apart.nodes)


def test_a_family_is_known_by_its_prompts_whichever_nodes_it_has() -> None:
    there = np.arange(12) < 5
    codes = np.full((1, 12, 6), NO_CODE)
    codes[0, there, :3] = 4
    moved = np.full((1, 12, 6), NO_CODE)
    moved[0, there, 3:] = 9
    nodes, positive, seeds = [NodeId(0, head) for head in range(6)], np.arange(12) < 6, ((0,), (0,))
    same = compare_codes(codes, moved, positive, nodes, seeds, np.full(12, -1))
    assert (same.families_a, same.families_b) == (1, 1)
    assert same.families_gone == same.families_new == ()
    elsewhere = np.full((1, 12, 6), NO_CODE)
    elsewhere[0, 3:9, :3] = 4  # 2 of the 5 prompts, and 4 others: 2 of 9
    found = compare_codes(codes, elsewhere, positive, nodes, seeds, np.full(12, -1))
    assert [(each.nodes, each.alike) for each in found.families_gone] == [(3, round(2 / 9, 4))]
    assert [each.parent.positive for each in found.families_new] == [3]
