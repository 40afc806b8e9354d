"""Paths as people type them."""

import os
from pathlib import Path


def path_of(text: str) -> Path:
    """The path a person typed, with ~ for a home. Another's home that does not exist stays as it was typed."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  # Path.expanduser raises RuntimeError there
