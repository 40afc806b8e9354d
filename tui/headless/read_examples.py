"""Reads examples from a file or stdin, with an error for everything that can go wrong."""

import sys
from pathlib import Path

from engine.errors import ExampleError
from engine.examples import Example
from engine.machine.paths import path_of

MAX_BYTES = 32 << 20
"""Maximum size of an example file; the host accepts 64 MB per message."""
STDIN = "-"


def load_examples(target: str) -> tuple[Example, ...]:
    """Read the examples of a file, or of stdin for `-`. Raises ExampleError."""
    from engine.authoring.text_format import read_examples

    return read_examples(read_text(target), source="stdin" if target == STDIN else target)


def read_text(target: str, *, plain: bool = False) -> str:
    """Read the text of a file or stdin. Raises ExampleError; with `plain`, also for a pipe, which may never end."""
    source = "stdin" if target == STDIN else target
    raw = _stdin() if target == STDIN else _file(path_of(target), plain)
    if len(raw) > MAX_BYTES:
        raise ExampleError(
            f"{source} is larger than {MAX_BYTES >> 20} MB, too large for an example set.",
            hint="A probe needs 10 to 500 prompts; use a sample of the lines.",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ExampleError(
            f"{source}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8 text.", hint="Save the file as UTF-8."
        ) from error


def looks_like_file(target: str) -> bool:
    """Return whether the target names a file rather than a task."""
    return target == STDIN or "/" in target or "." in target or Path(target).exists()


def _stdin() -> bytes:
    if sys.stdin is None:
        raise ExampleError("There is no stdin to read examples from.", hint="Give a file instead of -.")
    if sys.stdin.isatty():
        sys.stderr.write("Type examples, one per line (+ prompt => expected | foil); Ctrl+D ends them.\n")
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _file(path: Path, plain: bool) -> bytes:
    if path.is_dir():
        raise ExampleError(f"{path} is a folder, not a file of examples.", hint="Give a .jsonl file, a text file or -.")
    if plain and path.exists() and not path.is_file():
        raise ExampleError(f"{path} is a pipe or a device, not a file.", hint="Copy its contents to a file.")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ExampleError(
            f"There is no file {str(path)!r}.", hint="For ready-made example sets see headcode tasks."
        ) from error
    except OSError as error:
        raise ExampleError(f"{path} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
