"""The examples as a file for a text editor, and the file back as examples. Light to import."""

from collections.abc import Sequence

from engine.authoring.drafts import text_of
from engine.authoring.templates import is_list
from engine.authoring.text_format import read_lines
from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, Example

_MARK = "#! "
"""Begins a line that says what is wrong with the next one; removed when the file is read."""
_HEAD = (
    "# One example a line: + prompt => expected | foil, foil   (- for a negative; +3 and -3 are one pair).\n"
    "# Save and leave the editor to take them over; lines that begin with # are skipped.\n"
)
_LEFT_OUT = "# This line is left out of runs until it is changed:\n"


def write_edited(examples: Sequence[Example]) -> str:
    """Return the file: a line for each example, also for those that are not valid yet or left out of runs."""
    return _HEAD + "".join(
        (_LEFT_OUT if not example.enabled and text_of(example) != example.prompt else "") + text_of(example) + "\n"
        for example in examples
    )


def read_edited(text: str, before: Sequence[Example]) -> tuple[Example, ...]:
    """Return the examples of an edited file. Raises BadLine for the first line that cannot be read.

    A line that was not changed gives the example it was written from, with what the line does not say: a named pair,
    whether it is left out, and that it was not valid before either.
    """
    kept: dict[str, list[Example]] = {}
    for example in before:
        kept.setdefault(text_of(example).strip(), []).append(example)
    found: list[Example] = []
    for number, row in enumerate(_rows(text), start=1):
        line = row.strip()
        if not line or line.startswith("#"):
            continue
        same = kept.get(line)
        if same:
            found.append(same.pop(0))
        elif is_list(line):
            raise BadLine(number, "Word lists are filled where lines are pasted, not here.", "Paste them instead.")
        else:
            try:
                found += read_lines(line, source="line")
            except ExampleError as error:
                raise BadLine(number, error.message.removeprefix("line, line 1: "), error.hint) from error
        if len(found) > MAX_EXAMPLES:
            raise BadLine(number, f"More than {MAX_EXAMPLES} examples.", "A run needs 10 to 500.")
    return tuple(found)


def mark_line(text: str, number: int, words: str) -> str:
    """Return the file with a comment above that line, in place of earlier ones."""
    rows = _rows(text)
    rows.insert(number - 1, _MARK + " ".join(words.split()))
    return "\n".join(rows) + "\n"


class BadLine(ExampleError):
    """A line of an edited file is no example."""

    def __init__(self, number: int, message: str, hint: str) -> None:
        super().__init__(f"Line {number}: {message}", hint=hint)
        self.number = number
        """Of the line, counted from 1 and without the comments that `mark_line` put there."""


def _rows(text: str) -> list[str]:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    return [line for line in lines if not line.startswith(_MARK)]
