"""Find families of codes that occur together, and compare the codes of two runs on the same prompts.

After the feature families of O'Neill, Ye, Iyer and Wu (2024, arXiv:2408.00657), with prompts in place of documents and
complete linkage in place of a spanning tree: in a family every two codes occur together.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.code_families import CodeFamily, FamilyCode, FamilyLevel, FamilyTree
from engine.nodes import NodeId
from engine.results import NO_CODE

LEVELS = (0.3, 0.5, 0.7, 0.9)
"""Least co-occurrence of two codes of a family, from coarse to fine."""
LEAST = 3
"""Examples on which a code has to occur: two codes of fewer coincide by chance."""
MOST_CODES = 1_500
_DIGITS = 4
_PARENT_SHUFFLES = 200
Occurrence = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)


def find_families(
    codes: NDArray[np.integer],
    positive: NDArray[np.bool_],
    nodes: Sequence[NodeId],
    *,
    seed: int,
    shuffles: int = 20,
    least: int = LEAST,
) -> FamilyTree:
    """Return the families of one seed's codes, [example, node], at every level, and those of shuffled codes.

    A code that occurs on every example is left out: it goes with all others. Without shuffles, chance is not known.
    """
    items, occurs, left_out = occurrences(codes, positive, nodes, least=least)
    source = np.random.default_rng(seed)
    found = _clusters(occurs)
    shuffled = []
    for _ in range(shuffles):
        _, mixed, _ = occurrences(_shuffled(codes, positive, source), positive, nodes, least=least)
        shuffled.append([_statistics(mixed, groups) for groups in _clusters(mixed)])
    levels = []
    for place, (level, groups) in enumerate(zip(LEVELS, found, strict=True)):
        families, in_families, reconstruction = _statistics(occurs, groups)
        chance = np.array([each[place] for each in shuffled] or [(0, 0, 0.0)], dtype=float)
        levels.append(
            FamilyLevel(
                level=level,
                families=families,
                codes=in_families,
                reconstruction=round(reconstruction, _DIGITS),
                chance_families=round(float(chance[:, 0].mean()), 2),
                chance_codes=round(float(chance[:, 1].mean()), 2),
                chance_reconstruction=round(float(chance[:, 2].mean()), _DIGITS),
                p_value=round((1 + int((chance[:, 1] >= in_families).sum())) / (1 + len(chance)), _DIGITS),
            )
        )
    mixes = _PARENT_SHUFFLES if shuffles else 0
    tree = _nested(0, range(len(items)), found, items, occurs, positive, source, mixes)
    return FamilyTree(
        seed=seed,
        examples=len(codes),
        codes=len(items),
        least=least,
        left_out=left_out,
        families=tuple(tree),
        levels=tuple(levels),
        shuffles=shuffles,
    )


def occurrences(
    codes: NDArray[np.integer], positive: NDArray[np.bool_], nodes: Sequence[NodeId], *, least: int = LEAST
) -> tuple[list[FamilyCode], Occurrence, int]:
    """Return the codes that occur on enough examples, where ([code, example]), and how many were left out."""
    items, rows = [], []
    for node, column in zip(nodes, codes.T, strict=True):
        for code in np.unique(column[column != NO_CODE]):
            there = column == code
            if least <= int(there.sum()) < len(codes):
                count, plus = int(there.sum()), int((there & positive).sum())
                layer, head = node
                items.append(FamilyCode(layer=layer, head=head, code=int(code), examples=count, positive=plus))
                rows.append(there)
    order = sorted(range(len(items)), key=lambda place: (-items[place].examples, place))
    kept = order[:MOST_CODES]
    occurs = np.array([rows[place] for place in kept], dtype=bool).reshape(len(kept), len(codes))
    return [items[place] for place in kept], occurs, len(order) - len(kept)


def together(occurs: Occurrence, others: Occurrence | None = None) -> NDArray[np.float64]:
    """Return the share of examples that have both of two codes among those that have either (Jaccard)."""
    one, other = occurs.astype(np.float64), (occurs if others is None else others).astype(np.float64)
    both = one @ other.T
    either = one.sum(axis=1)[:, None] + other.sum(axis=1)[None, :] - both
    return both / np.maximum(either, 1.0)


def reconstruction(parent: Occurrence, children: Occurrence) -> float:
    """Return the share of the variance of the children's occurrence that the parent's explains; 1 without variance.

    The mean square error of predicting each child by its share among the examples with the parent, or without it,
    against that of predicting it by its share among all examples.
    """
    whole = ((children - children.mean(axis=1, keepdims=True)) ** 2).sum()
    if not whole:
        return 1.0
    left = 0.0
    for side in (parent, ~parent):
        if side.any():
            part = children[:, side].astype(np.float64)
            left += ((part - part.mean(axis=1, keepdims=True)) ** 2).sum()
    return float(1 - left / whole)


def _clusters(occurs: Occurrence) -> list[list[list[int]]]:
    """Return the families of every level: complete linkage, so that a finer level's are inside a coarser one's."""
    # Codes on exactly the same examples are one from the start.
    distinct: dict[bytes, list[int]] = {}
    for place, row in enumerate(occurs):
        distinct.setdefault(row.tobytes(), []).append(place)
    groups = list(distinct.values())
    alike = together(occurs[[each[0] for each in groups]]) if groups else np.zeros((0, 0))
    np.fill_diagonal(alike, -1.0)
    found: dict[float, list[list[int]]] = {}
    alive = np.ones(len(groups), dtype=bool)
    best = float(alike.max()) if len(groups) > 1 else -1.0
    for level in sorted(LEVELS, reverse=True):
        while best >= level:
            one, other = divmod(int(alike.argmax()), len(groups))
            groups[one] = groups[one] + groups[other]
            alive[other] = False
            # As far apart as the two members that are furthest apart.
            alike[one] = alike[:, one] = np.minimum(alike[one], alike[other])
            alike[one, one] = -1.0
            alike[other] = alike[:, other] = -1.0
            best = float(alike.max())
        found[level] = [sorted(groups[place]) for place in np.flatnonzero(alive) if len(groups[place]) > 1]
    return [found[level] for level in LEVELS]


def _statistics(occurs: Occurrence, groups: list[list[int]]) -> tuple[int, int, float]:
    """Return the number of families, of codes in them, and the mean reconstruction."""
    ordered = [_ordered(occurs, group) for group in groups]
    shares = [reconstruction(occurs[each[0]], occurs[each[1:]]) for each in ordered]
    return len(groups), sum(map(len, groups)), float(np.mean(shares)) if shares else 0.0


def _ordered(occurs: Occurrence, group: Sequence[int]) -> list[int]:
    counts = occurs.sum(axis=1)
    return sorted(group, key=lambda place: (-int(counts[place]), place))


def _nested(
    depth: int,
    inside: Sequence[int],
    found: list[list[list[int]]],
    items: list[FamilyCode],
    occurs: Occurrence,
    positive: NDArray[np.bool_],
    source: np.random.Generator,
    mixes: int,
) -> list[CodeFamily]:
    """Return the families of a level inside a coarser one; one that stays the same is listed at its finest level."""
    allowed, tree = set(inside), []
    for group in sorted(found[depth], key=lambda each: (-len(each), each)):
        if not allowed.issuperset(group):
            continue
        level = depth
        while level + 1 < len(LEVELS) and group in found[level + 1]:
            level += 1
        ordered = _ordered(occurs, group)
        parent, children = occurs[ordered[0]], occurs[ordered[1:]]
        alike = together(occurs[ordered])
        chance = [reconstruction(_shuffled(parent[:, None], positive, source)[:, 0], children) for _ in range(mixes)]
        finer = (
            [] if level + 1 == len(LEVELS) else _nested(level + 1, group, found, items, occurs, positive, source, mixes)
        )
        tree.append(
            CodeFamily(
                level=LEVELS[level],
                codes=tuple(items[place] for place in ordered),
                together=round(float(alike.min()), _DIGITS),
                nodes=len({(items[place].layer, items[place].head) for place in ordered}),
                reconstruction=round(reconstruction(parent, children), _DIGITS),
                covered=round(float((children & parent).sum() / children.sum()), _DIGITS),
                chance=round(float(np.mean(chance)), _DIGITS) if chance else 0.0,
                children=tuple(finer),
            )
        )
    return tree


def _shuffled(values: NDArray[Kind], positive: NDArray[np.bool_], source: np.random.Generator) -> NDArray[Kind]:
    """Return the columns, each shuffled by itself within the examples of a side."""
    mixed = values.copy()
    for side in (positive, ~positive):
        mixed[side] = source.permuted(values[side], axis=0)
    return mixed
