"""Shorten prompts while a node keeps its code: no single further token can be left out."""

from collections.abc import Callable, Sequence

import msgspec

from engine.explaining.columns import TokenColumn

Margins = Callable[[Sequence[tuple[TokenColumn, ...]]], list[float]]
"""Of each prompt: by how much the code's latent exceeds every other; not above 0 where the node has another code."""


Allowed = Callable[[tuple[TokenColumn, ...], tuple[TokenColumn, ...]], bool]
"""Whether a prompt may become the shorter one."""


class Shortened(msgspec.Struct, frozen=True):
    """A prompt that keeps the code, and its columns' places in the whole prompt."""

    columns: tuple[TokenColumn, ...]
    places: tuple[int, ...]


def shorten(columns: tuple[TokenColumn, ...], margins: Margins, allowed: Allowed = lambda _, __: True) -> Shortened:
    """Return a shortest prompt by greedy deletion, exact: every prompt on the way has been through the model.

    It begins with the columns that differ and those with the same tokens, alone or with one more; where none of these
    keeps the code, with the whole prompt. Then it deletes as many columns at once as keep the code, those first that
    leave the largest margin, until every single deletion loses it or is not allowed. The whole prompt has to have the
    code.
    """
    kept = _core(columns, margins) or tuple(range(len(columns)))
    while len(kept) > 1:
        without = [kept[:at] + kept[at + 1 :] for at in range(len(kept))]
        found = margins([_taken(columns, each) for each in without])
        now = _taken(columns, kept)
        spare = [at for at in range(len(kept)) if found[at] > 0 and allowed(now, _taken(columns, without[at]))]
        if not spare:
            break
        spare.sort(key=lambda at: -found[at])
        kept = _without_most(columns, kept, spare, margins, allowed)
    return Shortened(_taken(columns, kept), kept)


def _core(columns: tuple[TokenColumn, ...], margins: Margins) -> tuple[int, ...] | None:
    """Return the best prompt of the differing columns, columns tied to them, and one more at most, if any keeps it."""
    differ = [place for place, column in enumerate(columns) if column.differs]
    if not differ:
        return None
    tokens = {token for place in differ for token in columns[place] if token is not None}
    tied = {place for place, column in enumerate(columns) if tokens & set(column)}
    core = tuple(sorted(tied.union(differ)))
    tried = [core, *(tuple(sorted((*core, place))) for place in range(len(columns)) if place not in tied)]
    found = margins([_taken(columns, each) for each in tried])
    if found[0] > 0:
        return core
    best = max(range(len(tried)), key=lambda at: found[at])
    return tried[best] if found[best] > 0 else None


def _without_most(
    columns: tuple[TokenColumn, ...], kept: tuple[int, ...], spare: list[int], margins: Margins, allowed: Allowed
) -> tuple[int, ...]:
    """Return `kept` without as many of the spare places as can go together: 1, 2, 4, ... or all of them."""
    counts = sorted({min(1 << power, len(spare)) for power in range(len(spare).bit_length() + 1)})
    tried = []
    for count in counts:
        gone = set(spare[:count])
        shorter = tuple(place for at, place in enumerate(kept) if at not in gone)
        if count == 1 or (shorter and allowed(_taken(columns, kept), _taken(columns, shorter))):
            tried.append(shorter)
    if len(tried) == 1:
        return tried[0]
    found = margins([_taken(columns, each) for each in tried[1:]])
    good = [each for each, margin in zip(tried[1:], found, strict=True) if margin > 0]
    return good[-1] if good else tried[0]


def _taken(columns: tuple[TokenColumn, ...], places: Sequence[int]) -> tuple[TokenColumn, ...]:
    return tuple(columns[place] for place in places)
