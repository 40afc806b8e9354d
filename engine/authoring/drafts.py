"""Lines as they are being written: what cannot be read yet is kept as it is typed, and says what is wrong with it."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.authoring.csv_format import read_csv
from engine.authoring.templates import count, expand, groups_of, is_list, is_template, read_lists, spelled_out, ways
from engine.authoring.text_format import format_of, read_line, write_line
from engine.errors import ExampleError
from engine.examples import MAX_PROMPT, Example, read_jsonl

_KEPT_WHOLE = 1_000
"""Characters of a line too long to be a prompt that are kept."""


def draft(line: str, *, like: Example | None = None) -> Example:
    """The example a line says. One that says none is kept as its own prompt, disabled, until it is mended.

    `like` is the example the line was: it stays enabled or not, and in a named pair, as it was.
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
    """What is wrong with a line that was kept as text; empty for an example."""
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
    """The example as the line a person edits."""
    return example.prompt if flaw(example) else write_line(example)


class SlotPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What filling the slots of a text would come to."""

    lines: int
    """Those that have slots."""
    examples: int
    """What these lines stand for: no prompt twice on one side."""
    ways: int
    """In how many ways they can be filled, copies counted."""

    @property
    def words(self) -> str:
        have = "1 line with slots stands" if self.lines == 1 else f"{self.lines:,} lines with slots stand"
        found = f"{have} for {self.examples:,} {'example' if self.examples == 1 else 'examples'}"
        return found if self.ways <= self.examples else f"{found} ({self.ways:,} with repeats)"


def slotted(text: str, *, after: Sequence[Example] = ()) -> SlotPreview | None:
    """How many examples the slots of a pasted text would make, before any is made; None where it has none.

    `after` are the examples that are there already, of which no copy is made.
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
    # Lines that share a pair with one that has slots are filled with it: they count with those.
    filled = [row for group in groups_of(rows) if any(is_template(each, lists) for each in group) for row in group]
    plain = len(rows) - len(filled)
    total = count(rows, lists, taken=taken)
    return SlotPreview(lines=len(more), examples=total - plain, ways=ways(rows, lists) - plain)


def drafts(text: str, *, after: Sequence[Example] = (), fill: bool = True) -> tuple[Example, ...]:
    """The examples of pasted text, one a line, slots filled with nothing that is there twice; JSONL and CSV, too.

    Pairs get numbers that `after`, the examples that are there already, do not use, where theirs are taken.
    Without `fill` lines with slots stay as they are, each with the words of its lists.
    Nothing is lost: what cannot be read is kept as text. Raises ExampleError where slots make too many.
    """
    kind = format_of(text)
    if kind == "csv":
        try:
            return fresh_pairs(read_csv(text), after)
        except ExampleError:
            kind = "lines"
    if kind == "jsonl":
        return fresh_pairs(_from_jsonl(_lines(text)), after)
    rows = _rows(text)
    if not fill:
        return fresh_pairs((draft(row) for row in spelled_out(rows)), after)
    lists = read_lists(rows)
    rows = [row for row in rows if not is_list(row)]
    taken = [text_of(each) for each in after] if any("{" in row for row in rows) else []
    return fresh_pairs((draft(row) for row in expand(rows, lists, taken=taken)), after)


def fresh_pairs(examples: Iterable[Example], after: Sequence[Example]) -> tuple[Example, ...]:
    """The examples with pair numbers of their own: those `after` uses are replaced by free ones, pair by pair."""
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
    """A pair number above all that are used."""
    return max((each.pair for each in examples if each.pair is not None), default=-1) + 1


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]


def _rows(text: str) -> list[str]:
    """The lines that say something: no comments."""
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
        text = f"{text[:_KEPT_WHOLE]} … => "  # no prompt, and no line: it says so when it is looked at
    return Example(prompt=text, polarity="negative" if text.startswith("-") else "positive", enabled=False)


def _may_be_flawed(prompt: str) -> bool:
    """A quick look: whether reading the prompt as a line could fail at all."""
    return "=>" in prompt or len(prompt.strip(" \t\r\n+-0123456789")) == 0 or prompt.lstrip()[:1] == "{"
