"""The walks of first-hour.md as they stand there: what is pressed, what is to be seen then, what is drawn of it."""

import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("first-hour.md")


@dataclass(frozen=True)
class Stroke:
    """One row of a table."""

    keys: tuple[str, ...]
    """As Textual names them; none: only look."""
    sees: tuple[str, ...]
    """Texts that stand on the screen then."""
    picture: str
    """Where it is drawn to, from docs/; empty: nowhere."""


def read_walks(text: str) -> list[list[Stroke]]:
    """Each table of the page. Raises ValueError for a row that nobody could walk."""
    walks: list[list[Stroke]] = []
    for line in text.splitlines():
        if line.startswith("| press |"):
            walks.append([])
        elif line.startswith("|") and walks and not line.startswith("| ---"):
            walks[-1].append(_stroke(line))
    return walks


def keys_of(stroke: Stroke) -> list[str]:
    """The single keys, typed text letter by letter."""
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
        raise ValueError(f"This row tells no key and nothing to look for: {line}")
    keys, sees = (tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells[:2])
    drawn = re.search(r"\]\(([^)]+)\)", cells[3])
    return Stroke(keys, sees, drawn.group(1) if drawn else "")
