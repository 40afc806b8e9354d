"""Examples as people type them, one a line: `+ prompt => expected | foil, foil`. Light to import."""

import re

from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, MAX_LINE, Example, Polarity, read_jsonl

_HINT = "A line is: + prompt => expected | foil, foil (or - for a negative; +3 and -3 are one pair)."
_SIGN = re.compile(r"([+-])(\d{0,9})(?:\s+|$)")
_ARROW = "=>"


def read_examples(text: str, *, source: str = "input") -> tuple[Example, ...]:
    """The examples of a text in either format: JSONL where the first line that is not blank begins with {, else lines.

    Raises ExampleError naming source and line, or saying that there is nothing.
    """
    text = text.removeprefix("\ufeff")
    first = text.lstrip()
    if not first:
        raise ExampleError(f"{source} holds no examples.", hint=_HINT)
    examples = read_jsonl(text, source=source) if first.startswith("{") else read_lines(text, source=source)
    if not examples:
        raise ExampleError(f"{source} holds no examples.", hint=_HINT)
    return examples


def read_lines(text: str, *, source: str = "input") -> tuple[Example, ...]:
    """The examples of lines like `+ prompt => expected, expected | foil, foil`; blank lines and # comments are skipped.

    The first character is the polarity; a number straight after it names the pair. The last => ends the prompt, which
    may therefore hold others. An answer in double quotes may hold commas, bars and spaces at its ends.
    """
    examples: list[Example] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            examples.append(_from_line(stripped, f"{source}, line {number}"))
            if len(examples) > MAX_EXAMPLES:
                raise ExampleError(
                    f"{source}, line {number}: more than {MAX_EXAMPLES} examples.", hint="A probe needs 10 to 500."
                )
    return tuple(examples)


def write_lines(examples: tuple[Example, ...]) -> str:
    """The examples as lines that read_lines understands. Prompts lose their line breaks and outer spaces."""
    return "".join(_to_line(example) + "\n" for example in examples)


def _from_line(line: str, where: str) -> Example:
    if len(line) > MAX_LINE:
        raise ExampleError(f"{where}: {len(line)} characters in one line.", hint=_HINT)
    sign = _SIGN.match(line)
    if sign is None:
        raise ExampleError(
            f"{where} begins with {line[:12]!r}: neither + nor -, with a space before the prompt.",
            hint=f"{_HINT} A JSONL file begins with {{.",
        )
    polarity: Polarity = "positive" if sign.group(1) == "+" else "negative"
    prompt, arrow, answers = line[sign.end() :].rpartition(_ARROW)
    if not arrow:
        prompt, answers = line[sign.end() :], ""
    expected, bar, foils = _halves(answers, where)
    if arrow and not expected:
        raise ExampleError(f"{where}: nothing is expected after =>.", hint=_HINT)
    if bar and not foils:
        raise ExampleError(f"{where}: no foil stands after |.", hint=_HINT)
    try:
        return Example(
            prompt=prompt.strip(),
            polarity=polarity,
            expected=expected,
            foils=foils,
            pair=int(sign.group(2)) if sign.group(2) else None,
        )
    except ExampleError as error:
        raise ExampleError(f"{where}: {error.message}", hint=error.hint) from error


def _halves(text: str, where: str) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Expected answers, whether a bar follows them, and foils."""
    halves: tuple[list[str], list[str]] = ([], [])
    word, quoted, was_quoted, side = "", False, False, 0

    def close() -> None:
        answer = word if was_quoted else word.strip()
        if answer:
            halves[side].append(answer)

    for character in text:
        if character == '"' and (quoted or not word.strip()):
            word = word if quoted else ""
            quoted, was_quoted = not quoted, True
        elif quoted:
            word += character
        elif character in ",|":
            close()
            word, was_quoted = "", False
            if character == "|":
                if side:
                    raise ExampleError(f"{where}: more than one | after =>.", hint=f'{_HINT} Quote a bar: "|".')
                side = 1
        elif not was_quoted:
            word += character
        elif not character.isspace():
            raise ExampleError(f"{where}: {character!r} stands after a quoted answer.", hint="Separate with a comma.")
    if quoted:
        raise ExampleError(f'{where}: a " is not closed.', hint='Write "..." around an answer, or leave both out.')
    close()
    return tuple(halves[0]), side == 1, tuple(halves[1])


def _to_line(example: Example) -> str:
    sign = "+" if example.positive else "-"
    pair = "" if example.pair is None or example.pair < 0 else str(example.pair)
    line = f"{sign}{pair} {' '.join(example.prompt.split())}"
    if example.expected:
        line += " => " + ", ".join(map(_quoted, example.expected))
        if example.foils:
            line += " | " + ", ".join(map(_quoted, example.foils))
    return line


def _quoted(answer: str) -> str:
    return f'"{answer}"' if answer != answer.strip() or set(answer) & set(',|"') else answer
