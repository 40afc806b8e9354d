"""Edit a user's TOML file: find the line of an entry, change one value and keep everything else."""

import re
from pathlib import Path

_HEAD = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_ENTRY = re.compile(
    r"^\s*((?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="
)


def line_of(text: str, table: str, key: str | None = None) -> int | None:
    """Return the line, from 1, of a table's header or an entry in it; None if it is written in another form.

    `table` "" is the part before the first header.
    """
    now = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if head := _HEAD.match(line):
            now = _plain(head[1])
            if key is None and now == table:
                return number
        elif (entry := _ENTRY.match(line)) and key is not None:
            name = _plain(entry[1])
            if f"{now}.{name}".removeprefix(".") == f"{table}.{key}".removeprefix("."):
                return number
    return None


def set_value(text: str, table: str, key: str, value: str | None) -> str:
    """Return the text with `key = value` in the table; None removes the entry. `value` is TOML source."""
    lines = text.splitlines()
    at = line_of(text, table, key)
    if at is not None:
        comment = _comment(lines[at - 1])
        lines[at - 1 : at] = [] if value is None else [f"{key} = {value}{comment}"]
    elif value is not None:
        head = line_of(text, table)
        if head is None:
            lines += [*([""] if lines and lines[-1].strip() else []), f"[{table}]", f"{key} = {value}"]
        else:
            lines.insert(head, f"{key} = {value}")
    return "\n".join(lines) + "\n" if lines else ""


def overwrite(path: Path, text: str) -> None:
    """Replace the file, completely or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Write through a symbolic link: some users keep their settings in another folder.
    target = path.resolve()
    new = target.with_name(f"{target.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(target)


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _comment(line: str) -> str:
    """Return the comment after a value that contains no # itself."""
    _, sign, words = line.partition("#")
    return f"  # {words.strip()}" if sign and line.count('"') % 2 == 0 and "#" not in _quoted(line) else ""


def _quoted(line: str) -> str:
    return "".join(re.findall(r"\"[^\"]*\"|'[^']*'", line))
