"""Examples as a table: CSV with the columns polarity, prompt, expected, foils, pair, enabled. Light to import."""

import csv
import io
from collections.abc import Iterable

from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, MAX_PROMPT, Example

COLUMNS = ("polarity", "prompt", "expected", "foils", "pair", "enabled")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_HINT = f"The first line names the columns: {','.join(COLUMNS)}; only prompt and polarity are needed."
_SIDES = {"positive": "positive", "+": "positive", "pos": "positive", "1": "positive", "true": "positive"}
_SIDES |= {"negative": "negative", "-": "negative", "neg": "negative", "0": "negative", "false": "negative"}
_NO = frozenset({"0", "no", "false", "off"})


def is_header(line: str) -> bool:
    """Return True if the line names the columns of such a table."""
    return any("prompt" in names and len(names) > 1 for names in (_names(line, sign) for sign in _DELIMITERS))


def _names(line: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in line.split(delimiter)]


def _delimiter(text: str) -> str:
    """Return the delimiter that gives the most column names in the first line that is not blank."""
    first = text.lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=lambda sign: sum(name in COLUMNS for name in _names(first, sign)))


def read_csv(text: str, *, source: str = "input") -> tuple[Example, ...]:
    """Parse examples from CSV with cells separated by commas, semicolons or tabs.

    Several expected tokens or foils are on separate lines of their cell. Raises ExampleError with source and line. A
    pair that is not a number gets a number of its own.
    """
    text = text.removeprefix("\ufeff")
    csv.field_size_limit(max(csv.field_size_limit(), 4 * MAX_PROMPT))
    delimiter = _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    examples: list[Example] = []
    names: dict[str, int] = {}
    header: list[str] = []
    try:
        for row in rows:
            where = f"{source}, line {rows.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [cell.strip().lower() for cell in row]
                missing = [name for name in ("prompt", "polarity") if name not in header]
                if missing:
                    raise ExampleError(f"{where}: there is no column {missing[0]!r}.", hint=_HINT)
                continue
            if len(row) > len(header):
                raise ExampleError(f"{where}: {len(row)} cells under {len(header)} column names.", hint=_HINT)
            examples.append(_from_row(dict(zip(header, row, strict=False)), where, names))
            if len(examples) > MAX_EXAMPLES:
                raise ExampleError(f"{where}: more than {MAX_EXAMPLES} examples.", hint="A probe needs 10 to 500.")
    except csv.Error as error:
        raise ExampleError(
            f"{source}, line {rows.line_num}: {error}.", hint=f"Quote cells that hold {_DELIMITERS[delimiter]}."
        ) from error
    return tuple(examples)


def write_csv(examples: Iterable[Example]) -> str:
    """Return the examples as CSV, readable by read_csv."""
    out = io.StringIO(newline="")
    out.write(",".join(COLUMNS) + "\n")
    # Every cell is quoted: by default the writer leaves a lone carriage return unquoted.
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for each in examples:
        pair = "" if each.pair is None else str(each.pair)
        answers = ("\n".join(texts) for texts in (each.expected, each.foils))
        writer.writerow((each.polarity, each.prompt, *answers, pair, "yes" if each.enabled else "no"))
    return out.getvalue()


def _from_row(row: dict[str, str], where: str, names: dict[str, int]) -> Example:
    polarity = _SIDES.get(row.get("polarity", "").strip().lower())
    if polarity is None:
        raise ExampleError(
            f"{where}: polarity {row.get('polarity', '')[:40]!r} is neither positive nor negative.",
            hint="Write positive or negative, or + or -.",
        )
    pair = row.get("pair", "").strip()
    try:
        return Example(
            prompt=row.get("prompt", ""),
            polarity=polarity,  # type: ignore[arg-type]  # one of _SIDES
            expected=tuple(text for text in row.get("expected", "").split("\n") if text),
            foils=tuple(text for text in row.get("foils", "").split("\n") if text),
            pair=_number(pair, names) if pair else None,
            enabled=row.get("enabled", "").strip().lower() not in _NO,
        )
    except ExampleError as error:
        raise ExampleError(f"{where}: {error.message}", hint=error.hint) from error


def _number(pair: str, names: dict[str, int]) -> int:
    digits = pair.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) < 10:
        return int(pair)
    # Named pairs get negative numbers, as in JSONL.
    return names.setdefault(pair, -1 - len(names))
