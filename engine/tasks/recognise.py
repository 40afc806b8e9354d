"""Tells a task's own examples from a person's: by what stands in them, without the tokenizer they were made for."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache

from engine.examples import Example

Recogniser = Callable[[Example], bool]
"""Whether the task could have made this example, for some tokenizer and some seed."""

_FIELD = re.compile(r"\{(\w+)\}")


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """The template as a pattern; a field that comes again must be the same word again."""
    parts, seen, at = list[str](), set[str](), 0
    for field in _FIELD.finditer(template):
        name = field[1]
        parts.append(re.escape(template[at : field.start()]))
        parts.append(f"(?P={name})" if name in seen else rf"(?P<{name}>\w+)")
        seen.add(name)
        at = field.end()
    return re.compile("".join([*parts, re.escape(template[at:])]))


def filled_in(prompt: str, templates: Iterable[str], words: Mapping[str, Collection[str]]) -> dict[str, str] | None:
    """What stands in the fields of the template that gives this prompt; None where none of them does.

    `words`: what may stand in a field; a field that is not named may hold any word.
    """
    for template in templates:
        found = _pattern(template).fullmatch(prompt)
        if found is not None:
            fields = found.groupdict()
            if all(fields[name] in allowed for name, allowed in words.items() if name in fields):
                return fields
    return None


def one_answer(example: Example) -> tuple[str, str] | None:
    """The expected word and the foil, without their leading spaces; None where it is not one of each."""
    if len(example.expected) != 1 or len(example.foils) != 1:
        return None
    expected, foil = example.expected[0], example.foils[0]
    return (expected[1:], foil[1:]) if expected.startswith(" ") and foil.startswith(" ") else None


def spaced(words: Iterable[str]) -> tuple[str, ...]:
    """The words as answers after a word: with a leading space each."""
    return tuple(f" {word}" for word in words)


def distinct(words: Sequence[str], allowed: Collection[str]) -> bool:
    """Whether the words are all different and all allowed."""
    return len(set(words)) == len(words) and all(word in allowed for word in words)
