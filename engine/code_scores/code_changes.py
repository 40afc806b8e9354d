"""Compare the codes of two runs on the prompts that both have: nodes, codes and families."""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from engine.code_families import (
    CodeChange,
    CodeFamily,
    CodesComparison,
    FamilyChange,
    FamilyCode,
    NodeChange,
)
from engine.code_scores.agreement import rand_index
from engine.code_scores.families import LEAST, find_families, occurrences, together
from engine.nodes import NodeId

ALIKE = 0.5
"""Share of prompts from which two codes, or two families, are the same."""
_DIGITS = 4
_MOST = 200
Codes = NDArray[np.integer]
"""[seed, example, node]"""


def compare_codes(a: Codes, b: Codes, positive: NDArray[np.bool_], nodes: Sequence[NodeId]) -> CodesComparison:
    """Return what changed from A to B; rows of both are the same prompts, columns the same nodes.

    Numbers of codes mean nothing across runs: a code is known by the prompts on which it occurs.
    """
    between = _agreement([(one, other) for one, other in product(a, b)], a.shape[2])
    within = np.minimum(*(_agreement(list(combinations(each, 2)), a.shape[2]) for each in (a, b)))
    changes = [
        NodeChange(
            layer=node.layer,
            head=node.head,
            agreement=round(float(one), _DIGITS),
            within=round(float(most), _DIGITS),
        )
        for node, one, most in zip(nodes, between, within, strict=True)
    ]
    gone, kept, n_a = _unmatched(a[0], b[0], positive, nodes)
    new, _, n_b = _unmatched(b[0], a[0], positive, nodes)
    itself = [_share_kept(each, positive, nodes) for each in (a, b) if len(each) > 1]
    trees = [[_families(codes, positive, nodes) for codes in each[:2]] for each in (a, b)]
    one, other = trees[0][0], trees[1][0]
    repeated = [1 - len(_families_without(*each)) / max(len(each[0]), 1) for each in trees if len(each) > 1]
    return CodesComparison(
        prompts=a.shape[1],
        nodes=tuple(sorted(changes, key=lambda each: (each.agreement - each.within, each.layer, each.head))),
        codes_a=n_a,
        codes_b=n_b,
        kept=kept,
        expected=round(float(np.mean(itself)), _DIGITS) if itself else None,
        gone=tuple(gone[:_MOST]),
        new=tuple(new[:_MOST]),
        families_a=len(one),
        families_b=len(other),
        families_gone=tuple(_families_without(one, other)),
        families_new=tuple(_families_without(other, one)),
        families_expected=round(float(np.mean(repeated)), _DIGITS) if repeated else None,
    )


def _families(codes: NDArray[np.integer], positive: NDArray[np.bool_], nodes: Sequence[NodeId]) -> Sequence[CodeFamily]:
    return find_families(codes, positive, nodes, seed=0, shuffles=0).families


def _agreement(pairs: Sequence[tuple[NDArray[np.integer], NDArray[np.integer]]], n_nodes: int) -> NDArray[np.float64]:
    """Return each node's mean adjusted Rand index over pairs of codes; 1 without pairs, as nothing is known."""
    if not pairs:
        return np.ones(n_nodes)
    return np.mean([rand_index(one, other) for one, other in pairs], axis=0)


def _unmatched(
    a: NDArray[np.integer], b: NDArray[np.integer], positive: NDArray[np.bool_], nodes: Sequence[NodeId]
) -> tuple[list[CodeChange], int, int]:
    """Return the codes of A without a match in B, how many have one, and how many there are."""
    items, occurs, _ = occurrences(a, positive, nodes, least=LEAST)
    others, there, _ = occurrences(b, positive, nodes, least=1)
    by_node: dict[tuple[int, int], list[int]] = {}
    for place, item in enumerate(others):
        by_node.setdefault((item.layer, item.head), []).append(place)
    gone = []
    for item, row in zip(items, occurs, strict=True):
        places = by_node.get((item.layer, item.head), [])
        alike = together(row[None], there[places])[0] if places else np.zeros(0)
        best = int(alike.argmax()) if len(alike) else -1
        share = float(alike[best]) if best >= 0 else 0.0
        if share < ALIKE:
            match: FamilyCode | None = others[places[best]] if share else None
            gone.append(CodeChange(code=item, match=match, alike=round(share, _DIGITS)))
    return gone, len(items) - len(gone), len(items)


def _share_kept(codes: Codes, positive: NDArray[np.bool_], nodes: Sequence[NodeId]) -> float:
    """Return the share of codes kept between the first two seeds of a run."""
    _, kept, n = _unmatched(codes[0], codes[1], positive, nodes)
    return kept / max(n, 1)


def _families_without(families: Sequence[CodeFamily], others: Sequence[CodeFamily]) -> list[FamilyChange]:
    """Return the families of which no other family has half of the nodes."""
    sets = [{(code.layer, code.head) for code in each.codes} for each in others]
    found = []
    for each in families:
        own = {(code.layer, code.head) for code in each.codes}
        alike = [len(own & other) / len(own | other) for other in sets]
        best = int(np.argmax(alike)) if alike else -1
        share = alike[best] if alike else 0.0
        if share < ALIKE:
            parent = others[best].parent if share else None
            alike_by = round(share, _DIGITS)
            found.append(FamilyChange(parent=each.parent, nodes=each.nodes, alike=alike_by, other_parent=parent))
    return found
