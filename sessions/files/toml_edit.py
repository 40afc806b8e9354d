"""Edit a user's TOML file: find the line of an entry, change one value and keep everything else."""

import re
from pathlib import Path

from sessions.errors import SettingsError

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
    """Return the text with `key = value` in the table; None removes the entry. `value` is TOML source.

    Comments, order and blank lines stay. Raises SettingsError if the name of the table has another value.
    """
    import tomlkit
    from tomlkit.items import AbstractTable

    document = tomlkit.parse(text if not text or text.endswith("\n") else f"{text}\n")
    if table not in document and value is not None:
        if text.strip():
            document.add(tomlkit.nl())
        document[table] = tomlkit.table()
    entries = document.get(table)
    if entries is None:
        return text
    if not isinstance(entries, AbstractTable):
        raise SettingsError(f"{table} is not a table.", hint=f"Write [{table}] on a line of its own.")
    if value is not None:
        entries[key] = tomlkit.value(value)
    elif key in entries:
        del entries[key]
    return tomlkit.dumps(document)


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
