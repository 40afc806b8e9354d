"""Lines being written: a line that cannot be parsed yet is kept as typed, with what is wrong with it."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.authoring.csv_format import read_csv
from engine.authoring.templates import (
    count,
    expand,
    groups_of,
    is_list,
    is_template,
    read_lists,
    ways,
    with_words_inline,
)
from engine.authoring.text_format import format_of, read_line, write_line
from engine.errors import ExampleError
from engine.examples import MAX_PROMPT, Example, read_jsonl

_KEPT_WHOLE = 1_000
"""Characters that are kept of a line too long to be a prompt."""


def parse_draft(line: str, *, like: Example | None = None) -> Example:
    """Parse a line. A line that is no example is kept as its own prompt, disabled, until it is fixed.

    `like` is the example the line was: its `enabled` and its named pair are kept.
    """
    try:
        found = _read(line)
    except ExampleError:
        return _as_text(line)
    if like is None or flaw(like):
        return found
    pair = like.pair if found.pair is None and like.pair is not None and like.pair < 0 else found.pair
    return msgspec.structs.replace(found, enabled=like.enabled, pair=pair)


def flaw(example: Example) -> str:
    """Return what is wrong with a line that was kept as text; empty for an example."""
    if example.enabled or example.expected or example.foils or example.pair is not None:
        return ""
    if not _may_be_flawed(example.prompt):
        return ""
    try:
        _read(example.prompt)
    except ExampleError as error:
        return error.message
    return ""


def text_of(example: Example) -> str:
    """Return the example as the line a user edits."""
    return example.prompt if flaw(example) else write_line(example)


class SlotPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What filling the slots of a text would give."""

    lines: int
    """Lines with slots."""
    examples: int
    """Examples of these lines: no prompt twice on one side."""
    ways: int
    """In how many ways they can be filled, duplicates included."""

    @property
    def words(self) -> str:
        have = "1 line with slots expands to" if self.lines == 1 else f"{self.lines:,} lines with slots expand to"
        found = f"{have} {self.examples:,} {'example' if self.examples == 1 else 'examples'}"
        return found if self.ways <= self.examples else f"{found} ({self.ways:,} with repeats)"


def preview_slots(text: str, *, after: Sequence[Example] = ()) -> SlotPreview | None:
    """Return how many examples the slots of a pasted text would make, before any is made; None without slots.

    `after` are the existing examples; they are not duplicated.
    """
    if format_of(text) != "lines" and (format_of(text) == "jsonl" or _is_table(text)):
        return None
    rows = _rows(text)
    lists = read_lists(rows)
    rows = [row for row in rows if not is_list(row)]
    more = [row for row in rows if is_template(row, lists)]
    if not more:
        return None
    taken = [text_of(each) for each in after]
    # Lines that share a pair with a line with slots are filled with it, so they count with those.
    filled = [row for group in groups_of(rows) if any(is_template(each, lists) for each in group) for row in group]
    plain = len(rows) - len(filled)
    total = count(rows, lists, taken=taken)
    return SlotPreview(lines=len(more), examples=total - plain, ways=ways(rows, lists) - plain)


def parse_pasted(text: str, *, after: Sequence[Example] = (), fill: bool = True) -> tuple[Example, ...]:
    """Parse pasted text: one example per line with slots filled and no duplicates; JSONL and CSV, too.

    Pairs whose numbers are used in `after`, the existing examples, get new ones. Without `fill`, lines with slots stay
    as they are, each with the words of its lists. Lines that cannot be parsed are kept as text. Raises ExampleError if
    slots make too many.
    """
    kind = format_of(text)
    if kind == "csv":
        try:
            return renumber_pairs(read_csv(text), after)
        except ExampleError:
            kind = "lines"
    if kind == "jsonl":
        return renumber_pairs(_from_jsonl(_lines(text)), after)
    rows = _rows(text)
    if not fill:
        return renumber_pairs((parse_draft(row) for row in with_words_inline(rows)), after)
    lists = read_lists(rows)
    rows = [row for row in rows if not is_list(row)]
    taken = [text_of(each) for each in after] if any("{" in row for row in rows) else []
    return renumber_pairs((parse_draft(row) for row in expand(rows, lists, taken=taken)), after)


def renumber_pairs(examples: Iterable[Example], after: Sequence[Example]) -> tuple[Example, ...]:
    """Return the examples with pair numbers that `after` does not use, pair by pair."""
    taken = {each.pair for each in after if each.pair is not None}
    found = tuple(examples)
    own = {each.pair for each in found if each.pair is not None}
    free = next_pair((*after, *found))
    renamed: dict[int, int] = {}
    for pair in sorted(own & taken):
        renamed[pair] = free
        free += 1
    return tuple(
        each if each.pair not in renamed else msgspec.structs.replace(each, pair=renamed[each.pair]) for each in found
    )


def next_pair(examples: Iterable[Example]) -> int:
    """Return a pair number above all used ones."""
    return max((each.pair for each in examples if each.pair is not None), default=-1) + 1


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]


def _rows(text: str) -> list[str]:
    """Return the lines without comments."""
    return [row for row in _lines(text) if not row.lstrip().startswith("#")]


def _is_table(text: str) -> bool:
    try:
        read_csv(text)
    except ExampleError:
        return False
    return True


def _read(line: str) -> Example:
    if not line.lstrip().startswith('{"'):
        return read_line(line)
    try:
        return read_jsonl(line.strip())[0]
    except ExampleError as error:
        raise ExampleError(error.message.removeprefix("input, line 1").lstrip(" :"), hint=error.hint) from error


def _from_jsonl(rows: Sequence[str]) -> list[Example]:
    try:
        return list(read_jsonl("\n".join(rows)))
    except ExampleError:
        pass
    found: list[Example] = []
    for row in rows:
        try:
            found += read_jsonl(row)
        except ExampleError:
            found.append(_as_text(row))
    return found


def _as_text(line: str) -> Example:
    text = line.strip().encode("utf-8", "replace").decode("utf-8") or "?"
    if len(text) > MAX_PROMPT:
        text = f"{text[:_KEPT_WHOLE]} … => "  # not a prompt, and not a valid line: reported when it is parsed
    return Example(prompt=text, polarity="negative" if text.startswith("-") else "positive", enabled=False)


def _may_be_flawed(prompt: str) -> bool:
    """Return True if parsing the prompt as a line could fail: a quick check."""
    return "=>" in prompt or len(prompt.strip(" \t\r\n+-0123456789")) == 0 or prompt.lstrip()[:1] == "{"
