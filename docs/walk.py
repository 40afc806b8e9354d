"""Read the tables of first-hour.md: the keys to press, the texts that appear then, and the pictures to draw."""

import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("first-hour.md")


@dataclass(frozen=True)
class Stroke:
    """One row of a table."""

    keys: tuple[str, ...]
    """Textual's names of the keys; empty: press none."""
    sees: tuple[str, ...]
    """Texts that the screen then shows."""
    picture: str
    """Path of its picture below docs/; empty: none."""


def read_walks(text: str) -> list[list[Stroke]]:
    """Return the rows of each table of the page. Raises ValueError for a row without anything to look for."""
    walks: list[list[Stroke]] = []
    for line in text.splitlines():
        if line.startswith("| press |"):
            walks.append([])
        elif line.startswith("|") and walks and not line.startswith("| ---"):
            walks[-1].append(_stroke(line))
    return walks


def keys_of(stroke: Stroke) -> list[str]:
    """Return the single keys; typed text letter by letter."""
    from textual.keys import _character_to_key

    found: list[str] = []
    for key in stroke.keys:
        if key.startswith('"'):
            found += [_character_to_key(letter) for letter in key[1:-1]]
        else:
            found.append(key if len(key) > 1 else _character_to_key(key))
    return found


def _stroke(line: str) -> Stroke:
    cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    if len(cells) != 4 or not cells[1]:
        raise ValueError(f"This row has nothing to look for: {line}")
    keys, sees = (tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells[:2])
    drawn = re.search(r"\]\(([^)]+)\)", cells[3])
    return Stroke(keys, sees, drawn.group(1) if drawn else "")
