"""Compare two sets of examples by content, not by position."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from engine.examples import Example

_ALIKE = 0.5
"""Share of common words from which on two prompts count as one that was edited."""
_MOST_COMPARED = 400
"""Maximum number of unmatched examples per side to match by similarity; larger sets are different, not edited."""


class ExampleChange(msgspec.Struct, frozen=True, kw_only=True):
    """One example that is on both sides with different content."""

    a: Example
    b: Example
    fields: tuple[str, ...]


class ExamplesDifference(msgspec.Struct, frozen=True, kw_only=True):
    """All examples of both sides, each counted once."""

    same: int
    only_a: tuple[Example, ...]
    only_b: tuple[Example, ...]
    changed: tuple[ExampleChange, ...]
    order: bool
    """Whether the equal examples have another order."""

    @property
    def none(self) -> bool:
        return not (self.only_a or self.only_b or self.changed or self.order)


def compare_examples(a: Sequence[Example], b: Sequence[Example]) -> ExamplesDifference:
    """Return which examples are on one side only, and which were edited.

    Equal ones are matched first; then those with the same prompt and polarity; then those of one polarity and pair,
    and last those of one polarity, whose prompts share most of their words. A pair's number is not part of the
    content.
    """
    only_a, only_b = list(a), list(b)
    order_a, order_b = _take_equal(only_a, only_b)
    changed = _take_same_prompt(only_a, only_b)
    if max(len(only_a), len(only_b)) <= _MOST_COMPARED:
        changed += _take_alike(only_a, only_b, lambda one, other: _alike(one, other) * (one.pair == other.pair))
        changed += _take_alike(only_a, only_b, _alike)
    return ExamplesDifference(
        same=len(order_a),
        only_a=tuple(only_a),
        only_b=tuple(only_b),
        changed=tuple(ExampleChange(a=one, b=other, fields=_fields(one, other)) for one, other in changed),
        order=order_a != order_b,
    )


_Content = tuple[object, ...]


def _content(example: Example) -> _Content:
    return (example.polarity, example.prompt, example.expected, example.foils, example.enabled)


def _take_equal(only_a: list[Example], only_b: list[Example]) -> tuple[list[_Content], list[_Content]]:
    """Remove equal examples from both lists; return their contents in the order of each side."""
    shared = Counter(map(_content, only_a)) & Counter(map(_content, only_b))
    taken: tuple[list[_Content], list[_Content]] = ([], [])
    for side, contents in zip((only_a, only_b), taken, strict=True):
        left = Counter(shared)
        remaining = []
        for example in side:
            content = _content(example)
            if left[content] > 0:
                left[content] -= 1
                contents.append(content)
            else:
                remaining.append(example)
        side[:] = remaining
    return taken


def _take_same_prompt(only_a: list[Example], only_b: list[Example]) -> list[tuple[Example, Example]]:
    """Remove examples with the same prompt and polarity but other answers from both lists; return the matches."""
    waiting: dict[tuple[str, str], list[Example]] = {}
    for other in only_b:
        waiting.setdefault((other.polarity, other.prompt), []).append(other)
    pairs, remaining = [], []
    for one in only_a:
        found = waiting.get((one.polarity, one.prompt))
        if found:
            pairs.append((one, found.pop(0)))
        else:
            remaining.append(one)
    only_a[:] = remaining
    left = {id(other) for others in waiting.values() for other in others}
    only_b[:] = [other for other in only_b if id(other) in left]
    return pairs


def _take_alike(
    only_a: list[Example], only_b: list[Example], alike: Callable[[Example, Example], float]
) -> list[tuple[Example, Example]]:
    """Remove similar examples of one polarity from both lists; return the matches, the most similar first."""
    scored = [
        (-score, i, j)
        for i, one in enumerate(only_a)
        for j, other in enumerate(only_b)
        if one.polarity == other.polarity and (score := alike(one, other)) >= _ALIKE
    ]
    used_a: set[int] = set()
    used_b: set[int] = set()
    pairs = []
    for _, i, j in sorted(scored):
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            pairs.append((i, only_a[i], only_b[j]))
    only_a[:] = [example for i, example in enumerate(only_a) if i not in used_a]
    only_b[:] = [example for j, example in enumerate(only_b) if j not in used_b]
    return [(one, other) for _, one, other in sorted(pairs, key=lambda pair: pair[0])]


def _alike(one: Example, other: Example) -> float:
    first, second = Counter(one.prompt.split()), Counter(other.prompt.split())
    return (first & second).total() / max(1, max(first.total(), second.total()))


def _fields(one: Example, other: Example) -> tuple[str, ...]:
    return tuple(
        name for name in ("prompt", "expected", "foils", "enabled") if getattr(one, name) != getattr(other, name)
    )
