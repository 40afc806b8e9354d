"""Compare the codes of two runs on the prompts that both have: nodes, codes and families."""

from collections.abc import Sequence
from functools import cache
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from engine.code_families import (
    CodeChange,
    CodesComparison,
    FamilyChange,
    FamilyCode,
    NodeChange,
)
from engine.code_scores.agreement import rand_index
from engine.code_scores.answer_changes import answer_changes
from engine.code_scores.families import LEAST, find_families, occurrences, together
from engine.nodes import NodeId

ALIKE = 0.5
"""Share of prompts from which two codes, or two families, are the same."""
_DIGITS = 4
_MOST = 200
Codes = NDArray[np.integer]
"""[seed, example, node]"""


def compare_codes(
    a: Codes,
    b: Codes,
    positive: NDArray[np.bool_],
    nodes: Sequence[NodeId],
    seeds: tuple[Sequence[int], Sequence[int]],
    answers: NDArray[np.intp],
) -> CodesComparison:
    """Return what changed from A to B; rows of both are the same prompts, columns the same nodes.

    `answers`: of each prompt (answer_labels).

    Numbers of codes mean nothing across runs: a code is known by the prompts on which it occurs. Under the same seed
    autoencoders begin alike, so that what differs is the model; under different ones seeds differ as well.
    """

    @cache
    def families(run: int, seed: int) -> _Families:
        return _Families((a, b)[run][seed], positive, nodes)

    pairs = list(product(range(len(a)), range(len(b))))
    same = [(i, j) for i, j in pairs if seeds[0][i] == seeds[1][j]]
    others = [pair for pair in pairs if pair not in same]
    first = next((pair for pair in same if pair[0] == 0), (0, 0))
    between = _agreement([(a[i], b[j]) for i, j in same or pairs], a.shape[2])
    inside = [list(combinations(each, 2)) for each in (a, b)]
    within = np.mean([_agreement(each, a.shape[2]) for each in inside], axis=0)
    changes = [
        NodeChange(
            layer=node.layer,
            head=node.head,
            agreement=round(float(one), _DIGITS),
            within=round(float(most), _DIGITS),
        )
        for node, one, most in zip(nodes, between, within, strict=True)
    ]
    codes_a, codes_b = a[first[0]], b[first[1]]
    gone, kept, n_a = _unmatched(codes_a, codes_b, positive, nodes)
    new, _, n_b = _unmatched(codes_b, codes_a, positive, nodes)
    repeated = [pair for each in inside for pair in each]
    trees = families(0, first[0]), families(1, first[1])
    again = [(families(run, 0), families(run, 1)) for run, each in enumerate((a, b)) if len(each) > 1]
    return CodesComparison(
        prompts=a.shape[1],
        nodes=tuple(sorted(changes, key=lambda each: (each.agreement, -each.within, each.layer, each.head))),
        same_seed=first in same,
        answers=answer_changes(a, b, answers, nodes),
        codes_a=n_a,
        codes_b=n_b,
        kept=kept,
        kept_between=_mean([_share_kept(a[i], b[j], positive, nodes) for i, j in others]) if repeated else None,
        expected=_mean([_share_kept(*pair, positive, nodes) for pair in repeated]),
        gone=tuple(gone[:_MOST]),
        new=tuple(new[:_MOST]),
        families_a=len(trees[0].families),
        families_b=len(trees[1].families),
        families_gone=tuple(trees[0].without(trees[1])),
        families_new=tuple(trees[1].without(trees[0])),
        families_expected=_mean([1 - len(one.without(other)) / max(len(one.families), 1) for one, other in again]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), _DIGITS) if values else None


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


def _share_kept(
    a: NDArray[np.integer], b: NDArray[np.integer], positive: NDArray[np.bool_], nodes: Sequence[NodeId]
) -> float:
    _, kept, n = _unmatched(a, b, positive, nodes)
    return kept / max(n, 1)


class _Families:
    """The families of one seed's codes at the coarsest level, and on which prompts they occur."""

    def __init__(self, codes: NDArray[np.integer], positive: NDArray[np.bool_], nodes: Sequence[NodeId]) -> None:
        self.families = find_families(codes, positive, nodes, seed=0, shuffles=0).families
        columns = dict(zip(nodes, codes.T, strict=True))
        self._occurs = [
            np.mean([columns[NodeId(code.layer, code.head)] == code.code for code in each.codes], axis=0)
            for each in self.families
        ]

    def without(self, others: "_Families") -> list[FamilyChange]:
        """Return the families to which no other one is alike."""
        found = []
        for family, own in zip(self.families, self._occurs, strict=True):
            alike = [float(np.minimum(own, each).sum() / np.maximum(own, each).sum()) for each in others._occurs]
            best = int(np.argmax(alike)) if alike else -1
            share = alike[best] if alike else 0.0
            if share < ALIKE:
                parent = others.families[best].parent if share else None
                shown = round(share, _DIGITS)
                found.append(FamilyChange(parent=family.parent, nodes=family.nodes, alike=shown, other_parent=parent))
        return found
