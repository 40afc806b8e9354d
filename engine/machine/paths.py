"""Paths as people type them."""

import os
from pathlib import Path


def path_of(text: str) -> Path:
    """Return the typed path with ~ expanded. A home that does not exist stays as typed."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  # Path.expanduser raises RuntimeError there
