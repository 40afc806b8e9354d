"""Pack units by model: load once, run many."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from engine.config import LoadOptions, load_fields

T = TypeVar("T")


class PackKey(msgspec.Struct, frozen=True):
    """What units must share to use one loaded model."""

    model: str
    options: LoadOptions


def pack_key(model: str, options: LoadOptions) -> PackKey:
    """Return what a unit shares with others that use its loaded model."""
    return PackKey(model, LoadOptions(**load_fields(options)))


Packs = tuple[tuple[PackKey, tuple[T, ...]], ...]


def pack(items: Sequence[tuple[PackKey, T]], *, workers: int, most: int = 200) -> Packs[T]:
    """Return packs of items with the same key, of at most `most` items and at most a worker's share.

    Every item is in exactly one pack. Packs of a model follow each other, items keep their order.
    """
    by_key: dict[PackKey, list[T]] = {}
    for key, item in items:
        by_key.setdefault(key, []).append(item)
    share = max(1, min(most, -(-len(items) // max(1, workers))))
    found: list[tuple[PackKey, tuple[T, ...]]] = []
    for key, members in by_key.items():
        pieces = -(-len(members) // share)
        size = -(-len(members) // pieces)
        found += [(key, tuple(members[start : start + size])) for start in range(0, len(members), size)]
    return tuple(found)
