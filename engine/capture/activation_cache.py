"""The activation cache on disk, keyed by content, so that another lambda needs no forward pass."""

import os
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

VERSION = 3
"""Part of every key: after a change of format, old files are not found rather than misread."""
_PART_EVERY_S = 2.0
"""Seconds between two saves of a capture that is under way."""
LIMIT_BYTES = 8 << 30
"""Maximum size of the folder; the least recently used files are deleted first."""


def load(folder: Path, key: str) -> dict[str, Tensor] | None:
    """Return what was saved under the key; None if there is nothing or the file is damaged (it is deleted)."""
    path = folder / f"{key}.safetensors"
    try:
        tensors = load_file(path)
        os.utime(path)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError):
        path.unlink(missing_ok=True)
        return None
    return tensors


def save(folder: Path, key: str, tensors: dict[str, torch.Tensor]) -> None:
    """Save the tensors under the key. A full or read-only disk is ignored: it costs time, not the run."""
    path = folder / f"{key}.safetensors"
    partial = folder / f".{key}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial)
        partial.replace(path)
        _prune(folder)
    except (OSError, SafetensorError):
        partial.unlink(missing_ok=True)


def drop(folder: Path, key: str) -> None:
    """Delete what was saved under the key."""
    (folder / f"{key}.safetensors").unlink(missing_ok=True)


def _prune(folder: Path) -> None:
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.safetensors"))
    total = sum(size for _, size, _ in files)
    for _, size, path in files[:-1]:
        if total <= LIMIT_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size


class PartialCapture:
    """The part of an interrupted capture that is done, so that the next one continues from there."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._folder, self._key = folder, f"{key}.part"
        self._saved = time.monotonic()

    def load(self) -> dict[str, Tensor]:
        return (load(self._folder, self._key) if self._folder else None) or {}

    def save(self, found: dict[str, Tensor]) -> None:
        """Save at intervals: each save writes everything."""
        if self._folder and time.monotonic() - self._saved > _PART_EVERY_S:
            save(self._folder, self._key, found)
            self._saved = time.monotonic()

    def drop(self) -> None:
        if self._folder:
            drop(self._folder, self._key)
