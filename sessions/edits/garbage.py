"""Find files that no session needs, and delete them on request."""

import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.machine.folders import AppFolders
from sessions.edits.trash import SETTLED_S, remove_files
from sessions.files.atomic_write import marked_partials
from sessions.rows import FileGroup

_DAY_S = 86_400.0
_SPOOL_S = 3_600.0
"""Seconds without a write after which a spool folder or a partial file counts as abandoned."""
_SET_ASIDE = re.compile(r"\.(kept|damaged|repaired)\b|.*\.other$")
_PARTIAL_DAYS, _LOG_DAYS, _COPY_DAYS = 1, 30, 30


class CacheLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Which reproducible data may stay."""

    cache_days: float = 30
    """Days without use after which activations are deleted; 0: all of them."""
    cache_bytes: int | None = None
    """Limit for the remaining ones; those unused for longest are deleted first."""


class DeletableGroup(msgspec.Struct, frozen=True):
    """A group of files and those of them that can be deleted."""

    pile: FileGroup
    deletable: tuple[Path, ...]


class _Item(msgspec.Struct, frozen=True):
    path: Path
    n_bytes: int
    used_s: float
    """When it was last written or used."""


def find_garbage(
    places: AppFolders, unowned: Collection[Path], limits: CacheLimits, *, running: Collection[str]
) -> list[DeletableGroup]:
    """Return every group of files that accumulate. `unowned`: SAE weights that no run names.

    Opens no file: reading the store's would drop DuckDB's lock on it.
    """
    now = time.time()
    found = [
        _activations(places.activations, limits, now),
        _pile(
            "weights",
            "SAE weights that no run names",
            places.data / "sae",
            lambda path: path.suffix == ".safetensors",
            lambda item: item.path in unowned,
        ),
        _pile(
            "spool",
            "temporary files of runs",
            places.spool,
            lambda _: True,
            lambda item: item.path.name not in running and now - item.used_s > _SPOOL_S,
        ),
        _pile(
            "fetches",
            "incomplete model downloads, older than a day",
            places.models,
            lambda path: path.name.startswith(".partial-"),
            lambda item: now - item.used_s > _PARTIAL_DAYS * _DAY_S,
        ),
        _parts(places.parts, now),
        _pile(
            "logs",
            f"old logs, older than {_LOG_DAYS} days",
            places.logs,
            lambda path: ".log." in path.name,
            lambda item: now - item.used_s > _LOG_DAYS * _DAY_S,
        ),
        _pile(
            "set aside",
            "damaged, repaired or rescued stores and their journals: never deleted, check and move them away",
            places.store.parent,
            lambda path: _SET_ASIDE.match(path.name.removeprefix(places.store.stem)) is not None and path.is_file(),
            lambda _: False,
        ),
        _pile(
            "copies",
            f"copies of the store from before an upgrade, older than {_COPY_DAYS} days",
            places.store.parent,
            lambda path: path.name.startswith(f"{places.store.stem}.schema-") and path.is_file(),
            lambda item: now - item.used_s > _COPY_DAYS * _DAY_S,
        ),
        _pile(
            "repairs",
            "interrupted repairs, older than a day",
            places.store.parent,
            lambda path: path.name.startswith(("repair-", "keeping-")) and path.is_dir(),
            lambda item: now - item.used_s > _PARTIAL_DAYS * _DAY_S,
        ),
    ]
    return [each for each in found if each.pile.n]


def remove(found: list[DeletableGroup]) -> int:
    """Delete the files; return how many bytes that freed. A file that cannot be deleted is found again next time."""
    n_bytes = 0
    for each in found:
        if each.pile.kind == "weights":
            n_bytes += remove_files(each.deletable, settled_s=SETTLED_S)
            continue
        for path in each.deletable:
            size = _size(path)
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                n_bytes += size
    return n_bytes


def _activations(folder: Path, limits: CacheLimits, now: float) -> DeletableGroup:
    """Return activations to delete by age, then by size, the longest unused first, and partial ones of dead workers."""
    items = list(_items(folder, lambda path: path.suffix == ".safetensors" or path.name.startswith(".")))
    whole = sorted((item for item in items if item.path.suffix == ".safetensors"), key=lambda item: item.used_s)
    deletable = [item for item in items if item.path.suffix != ".safetensors" and now - item.used_s > _SPOOL_S]
    deletable += [item for item in whole if now - item.used_s >= limits.cache_days * _DAY_S]
    left = [item for item in whole if item not in deletable]
    total = sum(item.n_bytes for item in left)
    for item in left:
        if limits.cache_bytes is None or total <= limits.cache_bytes:
            break
        deletable.append(item)
        total -= item.n_bytes
    size = f", or beyond {limits.cache_bytes / 1e9:.3g} GB" if limits.cache_bytes is not None else ""
    words = f"not used for {limits.cache_days:g} days" if limits.cache_days else "all of them"
    return _found("activations", f"activations, {words}{size}: they can be computed again", folder, items, deletable)


def _parts(marks: Path, now: float) -> DeletableGroup:
    """Return partial files that killed exports left, in any folder."""
    items = list[_Item]()
    for part, _ in marked_partials(marks):
        with suppress(OSError):
            items.append(_Item(part, _size(part), part.lstat().st_mtime))
    return _found(
        "parts",
        "incomplete exports, older than an hour",
        marks,
        items,
        [item for item in items if now - item.used_s > _SPOOL_S],
    )


def _pile(
    kind: str, about: str, folder: Path, belongs: Callable[[Path], bool], old: Callable[[_Item], bool]
) -> DeletableGroup:
    items = list(_items(folder, belongs))
    return _found(kind, about, folder, items, [item for item in items if old(item)])


def _found(kind: str, about: str, folder: Path, items: list[_Item], deletable: list[_Item]) -> DeletableGroup:
    pile = FileGroup(
        kind=kind,
        about=about,
        path=str(folder),
        n=len(items),
        n_bytes=sum(item.n_bytes for item in items),
        n_deletable=len(deletable),
        deletable_bytes=sum(item.n_bytes for item in deletable),
    )
    return DeletableGroup(pile, tuple(item.path for item in deletable))


def _items(folder: Path, belongs: Callable[[Path], bool]) -> Iterator[_Item]:
    """Return the files and folders directly in `folder` that belong to the group. Links are not followed."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if belongs(path):
                with suppress(OSError):
                    yield _Item(path, _size(path), path.lstat().st_mtime)


def _size(path: Path) -> int:
    total = 0
    with suppress(OSError):
        total = path.lstat().st_size
        if path.is_dir() and not path.is_symlink():
            for each in path.rglob("*"):
                with suppress(OSError):
                    total += each.lstat().st_size
    return total
