"""Write examples to a file in one of the formats."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.examples import Example

FORMATS = ("lines", "jsonl", "csv")


def format_examples(examples: "tuple[Example, ...]", kind: str) -> str:
    """Format the examples as text. Raises ConfigError for an unknown format."""
    from engine.authoring.csv_format import write_csv
    from engine.authoring.text_format import write_lines
    from engine.examples import write_jsonl

    writers: dict[str, Callable[[tuple[Example, ...]], str]] = {
        "lines": write_lines,
        "jsonl": write_jsonl,
        "csv": write_csv,
    }
    if kind not in writers:
        raise ConfigError(f"There is no format {kind!r}.", hint=f"Formats: {', '.join(FORMATS)}.")
    return writers[kind](examples)


def write_examples(path: Path, examples: "tuple[Example, ...]") -> None:
    """Write the examples in the format of the file's suffix. Raises ConfigError."""
    kind = {".csv": "csv", ".txt": "lines"}.get(path.suffix.lower(), "jsonl")
    write_file(path, format_examples(examples, kind))


def write_file(path: Path, text: str) -> None:
    """Write the file atomically. Raises ConfigError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", hint="Choose another place.") from error
