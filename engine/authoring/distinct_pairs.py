"""Distinct examples: duplicates count once, and pairs that share a prompt are not independent.

Ten copies of one pair are no more evidence than that pair. Everything that counts examples (measures, permutation test,
bootstrap, baselines) uses the distinct ones; pairs that share a prompt swap sides together.
"""

import math
from collections.abc import Hashable, Sequence

from engine.examples import Example
from engine.nodes import NodeChoice
from engine.results import Template
from engine.sample_size import labellings_needed

TEMPLATE_SHARE = 0.75
"""Share of the positives that must be one template with one word changed before the card reports it."""
_FEWEST = 3
"""Distinct positives below which templates are not reported."""


def text_keys(examples: Sequence[Example]) -> list[Hashable]:
    """Return the prompts themselves as keys, without a tokenizer: equal texts are equal tokens."""
    return [example.prompt for example in examples]


def duplicate_rows(examples: Sequence[Example], keys: Sequence[Hashable]) -> tuple[int, ...]:
    """Return the indices of the examples that repeat an earlier one, ascending.

    `keys`: one per example, equal where the tokens are equal. A duplicate has the tokens, the polarity and, in a pair,
    the partner of an earlier example: with another partner the same prompt is read at another position.
    """
    partners = _partners(examples)
    seen: set[Hashable] = set()
    found = []
    for index, example in enumerate(examples):
        partner = partners[index]
        what = (keys[index], example.positive, None if partner is None else keys[partner])
        if what in seen:
            found.append(index)
        seen.add(what)
    return tuple(found)


def distinct_prompts(examples: Sequence[Example], keys: Sequence[Hashable]) -> tuple[int, int]:
    """Return how many distinct positive and negative prompts there are."""
    sides = [
        len({key for key, one in zip(keys, examples, strict=True) if one.positive is side}) for side in (True, False)
    ]
    return sides[0], sides[1]


def clusters(pairs: Sequence[tuple[int, int]], keys: Sequence[Hashable]) -> list[int]:
    """Return for each pair (rows of `keys`) the number of its cluster, from 0: pairs that share a prompt are together.

    Pairs with a common prompt are not independent, so the permutation test swaps their sides together and the bootstrap
    draws them together.
    """
    owner: dict[Hashable, int] = {}
    parent = list(range(len(pairs)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, pair in enumerate(pairs):
        for row in pair:
            parent[root(number)] = root(owner.setdefault(keys[row], number))
    places: dict[int, int] = {}
    return [places.setdefault(root(number), len(places)) for number in range(len(pairs))]


def missing_pairs(examples: Sequence[Example], keys: Sequence[Hashable], n_heads: int, *, paired: bool = True) -> int:
    """Return how many more pairs are needed for a single head of `n_heads` to be significant; 0 if there are enough.

    With `paired` false, how many more examples of each side, without partners. Counted are the ways of labelling the
    set: 2 for each cluster of pairs, and those of assigning the unpaired examples to the sides. Swapping all pairs of a
    set without unpaired examples changes nothing.
    """
    n_clusters, alone = _independent(examples, keys)
    n_alone, n_positive = len(alone), sum(alone)
    needed = labellings_needed(n_heads)
    missing = 0
    while True:
        more = 0 if paired else missing
        free = n_clusters + missing - more - (0 if n_alone + more else 1)
        ways = 2 ** max(0, free) * math.comb(n_alone + 2 * more, n_positive + more)
        if ways >= needed:
            return missing
        missing += 1


def format_missing(
    examples: Sequence[Example], n_heads: int, keys: Sequence[Hashable] | None = None, *, nodes: NodeChoice = "heads"
) -> str:
    """Describe what the set has and lacks for a single head to be significant; empty if nothing is missing.

    `n_heads`: of all nodes, if the run has MLPs, too. Without `keys` equal texts count as equal tokens.
    """
    keys = text_keys(examples) if keys is None else keys
    n_pairs = sum(partner is not None for partner in _partners(examples)) // 2
    missing = missing_pairs(examples, keys, n_heads, paired=n_pairs > 0)
    if not missing:
        return ""
    n_clusters, alone = _independent(examples, keys)
    there = "1 pair" if n_pairs == 1 else f"{n_pairs} pairs"
    if n_clusters < n_pairs:
        there += f" that share prompts and count as {n_clusters}"
    of_each = ""
    if not n_pairs:
        there, of_each = f"{sum(alone)} + {len(alone) - sum(alone)} without pairs", " of each"
    lets, node = "lets" if missing == 1 else "let", "head" if nodes == "heads" else "node"
    return f"{there}; {missing} more{of_each} {lets} one {node} of {n_heads} reach significance"


def shared_template(examples: Sequence[Example]) -> Template | None:
    """Return the template that most positives are, one word changed; None if there is none."""
    prompts = list(dict.fromkeys(tuple(one.prompt.split()) for one in examples if one.positive))
    if len(prompts) < _FEWEST:
        return None
    counts: dict[tuple[int, tuple[str, ...]], int] = {}
    for words in prompts:
        for place in range(len(words)):
            frame = (*words[:place], "___", *words[place + 1 :])
            counts[place, frame] = counts.get((place, frame), 0) + 1
    (_, frame), count = max(counts.items(), key=lambda found: (found[1], found[0]))
    if count < TEMPLATE_SHARE * len(prompts) or count < _FEWEST:
        return None
    return Template(text=" ".join(frame), prompts=count, of=len(prompts))


def _independent(examples: Sequence[Example], keys: Sequence[Hashable]) -> tuple[int, list[bool]]:
    """Return the number of clusters of pairs and the sides of the unpaired examples; duplicates are left out."""
    copies = set(duplicate_rows(examples, keys))
    partners = _partners(examples)
    left = [row for row in range(len(examples)) if row not in copies]
    pairs = [(row, other) for row in left if (other := partners[row]) is not None and row < other]
    return len(set(clusters(pairs, keys))), [examples[row].positive for row in left if partners[row] is None]


def _partners(examples: Sequence[Example]) -> list[int | None]:
    """Return for each example the index of the other side of its pair."""
    sides: dict[int, list[int]] = {}
    for index, example in enumerate(examples):
        if example.pair is not None:
            sides.setdefault(example.pair, []).append(index)
    found: list[int | None] = [None] * len(examples)
    for members in sides.values():
        if len(members) == 2:
            found[members[0]], found[members[1]] = members[1], members[0]
    return found
