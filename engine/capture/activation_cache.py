"""Activations on disk, named by their content, so that another lambda never runs the model again."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

VERSION = 2
"""Part of every key: a change of what is stored makes old files unfindable instead of wrong."""
LIMIT_BYTES = 8 << 30
"""What the folder may hold; the longest unused go first."""


def load(folder: Path, key: str) -> dict[str, Tensor] | None:
    """What was saved under that key; None where nothing was, or where the file is damaged (it is taken away)."""
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
    """Keeps the tensors under that key. A full or unwritable disk costs the speed, never the run."""
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
    """Forgets what was saved under that key."""
    (folder / f"{key}.safetensors").unlink(missing_ok=True)


def _prune(folder: Path) -> None:
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.safetensors"))
    total = sum(size for _, size, _ in files)
    for _, size, path in files[:-1]:
        if total <= LIMIT_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size
