"""Examples as people type them, one per line: `+ prompt => expected | foil, foil`. Light to import.

A line break within a prompt or answer is written ⏎, a tab ⇥, a space at the ends of a prompt ␣.
"""

import re
from collections.abc import Iterable

from engine.authoring.csv_format import is_header, read_csv
from engine.authoring.templates import expand, is_list, read_lists
from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, MAX_LINE, Example, Polarity, read_jsonl

_HINT = "A line is: + prompt => expected | foil, foil (or - for a negative; +3 and -3 are one pair)."
_SIGN = re.compile(r"([+-])([0-9]{0,9})(?:[ \t\r\n]+|$)")
_ARROW = "=>"
_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
_NOTHING = '""'
_BLANKS = " \t\r\n"


def read_examples(text: str, *, source: str = "input") -> tuple[Example, ...]:
    """Parse examples from text in any format. Raises ExampleError with source and line, or for an empty text.

    JSONL if the first line that is not blank begins with {, CSV if it names a column prompt or the source's name says
    so, else lines, whose slots are filled (engine.authoring.templates).
    """
    text = text.removeprefix("\ufeff")
    first = text.lstrip()
    if not first:
        raise ExampleError(f"{source} holds no examples.", hint=_HINT)
    kind = format_of(text)
    named = source.lower().endswith((".csv", ".tsv"))
    if kind == "lines" and named and not any(_SIGN.match(row.lstrip(_BLANKS)) for row in text.split("\n")):
        kind = "csv"
    examples = _READERS[kind](text, source=source)
    if not examples:
        raise ExampleError(f"{source} holds no examples.", hint=_HINT)
    return examples


def format_of(text: str) -> str:
    """Return the format: jsonl, csv or lines."""
    first = text.removeprefix("\ufeff").lstrip().partition("\n")[0]
    if first.startswith("{") and not is_list(first) and not first[1:2].isidentifier():
        return "jsonl"
    return "csv" if is_header(first) else "lines"


def read_lines(text: str, *, source: str = "input") -> tuple[Example, ...]:
    """Parse lines like `+ prompt => expected, expected | foil, foil`; blank lines and # comments are skipped.

    The first character is the polarity; a number directly after it names the pair. The last => ends the prompt, which
    may therefore contain others. An answer in double quotes may contain commas, bars and spaces at its ends.
    """
    examples: list[Example] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if _counts(line):
            examples.append(_from_line(line.strip(_BLANKS), f"{source}, line {number}"))
            if len(examples) > MAX_EXAMPLES:
                raise ExampleError(
                    f"{source}, line {number}: more than {MAX_EXAMPLES} examples.", hint="A probe needs 10 to 500."
                )
    return tuple(examples)


def _read_filled(text: str, *, source: str) -> tuple[Example, ...]:
    """Parse lines as read_lines does, with slots filled from lists; errors name the line as written."""
    rows = text.split("\n")
    lists = read_lists([row for row in rows if _counts(row)])
    if not lists:
        return read_lines(text, source=source)
    plain = ["" if is_list(row) else row for row in rows]
    read_lines("\n".join(plain), source=source)
    return read_lines(
        "\n".join(expand([row for row in plain if _counts(row)], lists)), source=f"{source}, slots filled"
    )


def _counts(row: str) -> bool:
    return bool(row.strip(_BLANKS)) and not row.lstrip(_BLANKS).startswith("#")


_READERS = {"jsonl": read_jsonl, "csv": read_csv, "lines": _read_filled}


def write_lines(examples: Iterable[Example]) -> str:
    """Return the examples as lines that read_lines accepts; `enabled` is not included."""
    return "".join(write_line(example) + "\n" for example in examples)


def write_line(example: Example) -> str:
    """Return one example as a line; read_line gives it back, except named pairs and `enabled`."""
    sign = "+" if example.positive else "-"
    pair = "" if example.pair is None or example.pair < 0 else str(example.pair)
    line = f"{sign}{pair} {_written_prompt(example.prompt)}"
    if example.expected or example.foils or _ARROW in example.prompt:
        line += f" {_ARROW} " + (", ".join(map(_quoted, example.expected)) or _NOTHING)
        if example.foils:
            line += " | " + ", ".join(map(_quoted, example.foils))
    return line


def read_line(line: str) -> Example:
    """Parse one line; one without + or - is a positive. Raises ExampleError without a line number."""
    stripped = line.strip(_BLANKS)
    return _from_line(stripped if _SIGN.match(stripped) else f"+ {stripped}", "")


def _from_line(line: str, where: str) -> Example:
    """Parse a line. `where` begins every error message: file and line number, or nothing."""
    where = f"{where}: " if where else ""
    if len(line) > MAX_LINE:
        raise ExampleError(f"{where}{len(line)} characters in one line.", hint=_HINT)
    sign = _SIGN.match(line)
    if sign is None:
        raise ExampleError(
            f"{where}The line begins with {line[:12]!r}: neither + nor -, with a space before the prompt.",
            hint=f"{_HINT} A JSONL file begins with {{.",
        )
    polarity: Polarity = "positive" if sign.group(1) == "+" else "negative"
    prompt, arrow, answers = _split(line[sign.end() :])
    expected, bar, foils = _halves(answers, where)
    if arrow and not expected and not answers.lstrip().startswith(_NOTHING):
        raise ExampleError(f"{where}There is no expected answer after =>.", hint=_HINT)
    if bar and not foils:
        raise ExampleError(f"{where}There is no foil after |.", hint=_HINT)
    try:
        return Example(
            prompt=_read_signs(prompt.strip(_BLANKS)),
            polarity=polarity,
            expected=expected,
            foils=foils,
            pair=int(sign.group(2)) if sign.group(2) else None,
        )
    except ExampleError as error:
        raise ExampleError(f"{where}{error.message}", hint=error.hint) from error


def _split(text: str) -> tuple[str, bool, str]:
    """Return prompt, True if an arrow ends it, and answers: the arrow is the last one outside quotes."""
    end = len(text)
    while (place := text.rfind(_ARROW, 0, end)) >= 0:
        if text.count('"', place) % 2 == 0:
            return text[:place], True, text[place + len(_ARROW) :]
        end = place
    prompt, arrow, answers = text.rpartition(_ARROW)
    return (prompt, True, answers) if arrow else (text, False, "")


def _halves(text: str, where: str) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Return expected answers, True if a bar follows them, and foils."""
    halves: tuple[list[str], list[str]] = ([], [])
    word, quoted, was_quoted, side = "", False, False, 0

    def close() -> None:
        answer = _read_signs(word if was_quoted else word.strip(_BLANKS))
        if answer:
            halves[side].append(answer)

    signs = iter(enumerate(text))
    for place, character in signs:
        if character == '"' and quoted and text[place + 1 : place + 2] == '"':
            word += character  # a doubled quote within quotes is a quote
            next(signs)
        elif character == '"' and (quoted or (not word.strip() and not was_quoted)):
            word = word if quoted else ""
            quoted, was_quoted = not quoted, True
        elif quoted:
            word += character
        elif character in ",|":
            close()
            word, was_quoted = "", False
            if character == "|":
                if side:
                    raise ExampleError(f"{where}More than one | after =>.", hint=f'{_HINT} Quote a bar: "|".')
                side = 1
        elif not was_quoted:
            word += character
        elif not character.isspace():
            raise ExampleError(f"{where}{character!r} follows a quoted answer.", hint="Separate with a comma.")
    if quoted:
        raise ExampleError(f'{where}A " is not closed.', hint='Write "..." around an answer, or leave both out.')
    close()
    return tuple(halves[0]), side == 1, tuple(halves[1])


def _written_prompt(prompt: str) -> str:
    inner = prompt.strip(" ")
    begins = len(prompt) - len(prompt.lstrip(" "))
    return _write_signs("␣" * begins + inner + "␣" * (len(prompt) - begins - len(inner)))


def _quoted(answer: str) -> str:
    if answer != answer.strip() or set(answer) & set(',|"') or _ARROW in answer:
        answer = '"' + answer.replace('"', '""') + '"'
    return _write_signs(answer)


def _write_signs(text: str) -> str:
    for character, sign in _SIGNS.items():
        text = text.replace(character, sign)
    return text


def _read_signs(text: str) -> str:
    for character, sign in _SIGNS.items():
        text = text.replace(sign, character)
    return text.replace("␣", " ")
