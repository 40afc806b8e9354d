"""Examples: a prompt with its polarity, read from JSONL and validated on input."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from engine.errors import ExampleError

MAX_PROMPT = 200_000
"""Characters; a longer prompt is a file given by mistake. A model's context is far shorter."""
MAX_EXAMPLES = 100_000
MAX_LINE = 4_000_000
MOST_PARTS = 64
"""Most parts that examples are put into, to see how what is measured on them varies with the examples."""
_UNSPACED = (
    *(range(0x0E00, 0x0F00), range(0x1000, 0x10A0), range(0x1780, 0x1800), range(0x3000, 0x3100)),
    *(range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0xFF00, 0xFFF0)),
    range(0x20000, 0x40000),
)
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese, with their punctuation.

Ranges, because a pattern of them takes 5 ms to compile at every start."""

Polarity = Literal["positive", "negative"]


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt. Its polarity is part of it; the order of rows means nothing."""

    prompt: str
    polarity: Polarity
    expected: tuple[str, ...] = ()
    """Texts of the tokens that count as the answer; several form a set (greater-than). May be empty."""
    foils: tuple[str, ...] = ()
    """Texts of the tokens that the answer is compared with. May be empty."""
    pair: int | None = None
    """Examples with the same number are a pair: a positive and its minimally changed negative."""
    enabled: bool = True

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ExampleError("The prompt is empty.", hint="Write at least one word.")
        if len(self.prompt) > MAX_PROMPT:
            raise ExampleError(
                f"The prompt that begins {self.prompt[:40]!r} has {len(self.prompt)} characters; "
                f"{MAX_PROMPT} is the maximum.",
                hint="Shorten it: models read a few hundred to a few thousand tokens.",
            )
        if self.pair is not None and not -(2**63) <= self.pair < 2**63:
            raise ExampleError(
                f"The pair number {str(self.pair)[:40]} is too large.", hint="Number the pairs 1, 2, 3, or name them."
            )
        try:
            self.prompt.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ExampleError(
                f"The prompt that begins {self.prompt[:40]!r} is not valid text (character {error.start}).",
                hint="Save the file as UTF-8.",
            ) from error

    @property
    def positive(self) -> bool:
        return self.polarity == "positive"


class _Line(msgspec.Struct):
    """A JSONL line as people write it: expected and foils may be one text or a list."""

    prompt: str
    polarity: str
    expected: str | list[str] | None = None
    foils: str | list[str] | None = None
    pair: int | str | None = None
    enabled: bool = True


def answer_text(prompt: str, answer: str) -> str:
    """Return the answer as the model would see it after the prompt: a word after a word gets a space.

    A written leading space stays; a digit directly after a digit continues the number, after an equals sign it is
    the result (37+48= 85 would be another token), and in a script without spaces no space is added.
    """
    if not answer or answer[0].isspace() or not prompt or prompt[-1].isspace():
        return answer
    if answer[0].isdigit() and (prompt[-1].isdigit() or prompt[-1] == "=" or _is_unspaced(prompt[-1])):
        return answer
    if _is_unspaced(prompt[-1]) and _is_unspaced(answer[0]):
        return answer
    return " " + answer


def _is_unspaced(character: str) -> bool:
    return any(ord(character) in script for script in _UNSPACED)


def read_jsonl(text: str, *, source: str = "input") -> tuple[Example, ...]:
    """Parse the examples of a JSONL text, one object per line; blank lines are skipped.

    Raises ExampleError with source and line. A pair written as text gets a number of its own.
    """
    examples: list[Example] = []
    names: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{source}, line {number}"
            examples.append(_from_line(line, where, names))
            if len(examples) > MAX_EXAMPLES:
                raise ExampleError(f"{where}: more than {MAX_EXAMPLES} examples.", hint="A probe needs 10 to 500.")
    return tuple(examples)


def write_jsonl(examples: Iterable[Example]) -> str:
    """Return the examples as JSONL, readable by read_jsonl."""
    return "".join(msgspec.json.encode(example).decode() + "\n" for example in examples)


def content_hash(examples: Sequence[Example]) -> str:
    """Return a hash of exactly this set in this order: 32 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(list(examples))).hexdigest()[:32]


def part_of_each(n: int, most: int = MOST_PARTS) -> tuple[int, ...]:
    """Return the part, from 0, that each of n examples is in: at most so many parts, as equal as can be.

    The same for the same n, and random otherwise: tasks may take turns with a few patterns, which a rule such as every
    16th example would put together.
    """
    order = list(range(n))
    random.Random(n).shuffle(order)
    parts = [0] * n
    for place, index in enumerate(order):
        parts[index] = place % most
    return tuple(parts)


def check_set(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the enabled examples if they can be compared.

    Raises ExampleError for a set without positives or without negatives, or with an invalid pair.
    """
    enabled = tuple(example for example in examples if example.enabled)
    for polarity, other in (("positive", "negative"), ("negative", "positive")):
        if not any(example.polarity == polarity for example in enabled):
            n_other = sum(example.polarity == other for example in enabled)
            raise ExampleError(
                f"There is no {polarity} example, and {n_other} {other}.",
                hint=f"Codes are compared between the two sides: add at least one {polarity} prompt.",
            )
    by_pair: dict[int, list[Example]] = {}
    for example in enabled:
        if example.pair is not None:
            by_pair.setdefault(example.pair, []).append(example)
    for pair, members in by_pair.items():
        if len(members) > 2 or len({member.polarity for member in members}) != len(members):
            sides = ", ".join(member.polarity for member in members)
            raise ExampleError(
                f"Pair {pair} has {len(members)} examples ({sides}).",
                hint="A pair is one positive and one negative; give the others a pair number of their own, or none.",
            )
    return enabled


def _from_line(line: str, where: str, names: dict[str, int]) -> Example:
    if len(line) > MAX_LINE:
        raise ExampleError(f"{where}: {len(line)} characters in one line.", hint="One JSON object a line.")
    try:
        raw = msgspec.json.decode(line, type=_Line)
    except msgspec.ValidationError as error:
        raise ExampleError(
            f"{where}: {error}.",
            hint='A line is {"prompt": "...", "polarity": "positive", "expected": "...", "foils": ["..."], "pair": 1}.',
        ) from error
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ExampleError(
            f"{where} is not JSON: {error}.", hint="One JSON object a line, in double quotes."
        ) from error
    if raw.polarity not in ("positive", "negative"):
        raise ExampleError(
            f"{where}: polarity {raw.polarity!r} is neither positive nor negative.",
            hint='Write "polarity": "positive" or "polarity": "negative".',
        )
    pair = raw.pair
    if isinstance(pair, str):
        # Named pairs get negative numbers, so that they never equal a numbered one.
        pair = names.setdefault(pair, -1 - len(names))
    try:
        return Example(
            prompt=raw.prompt,
            polarity=raw.polarity,  # type: ignore[arg-type]  # checked above
            expected=_texts(raw.expected),
            foils=_texts(raw.foils),
            pair=pair,
            enabled=raw.enabled,
        )
    except ExampleError as error:
        raise ExampleError(f"{where}: {error.message}", hint=error.hint) from error


def _texts(value: str | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    return tuple(text for text in texts if text)
