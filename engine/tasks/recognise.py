"""Recognise a task's own examples by their content, without the tokenizer they were made for."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache

from engine.examples import Example

Recogniser = Callable[[Example], bool]
"""Returns True if the task could have made this example, for some tokenizer and some seed."""

_FIELD = re.compile(r"\{(\w+)\}")


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Return the template as a pattern; a repeated field must have the same word."""
    parts, seen, at = list[str](), set[str](), 0
    for field in _FIELD.finditer(template):
        name = field[1]
        parts.append(re.escape(template[at : field.start()]))
        parts.append(f"(?P={name})" if name in seen else rf"(?P<{name}>\w+)")
        seen.add(name)
        at = field.end()
    return re.compile("".join([*parts, re.escape(template[at:])]))


def filled_in(prompt: str, templates: Iterable[str], words: Mapping[str, Collection[str]]) -> dict[str, str] | None:
    """Return the fields of the template that gives this prompt; None if no template does.

    `words`: the allowed words of a field; a field without an entry may have any word.
    """
    for template in templates:
        found = _pattern(template).fullmatch(prompt)
        if found is not None:
            fields = found.groupdict()
            if all(fields[name] in allowed for name, allowed in words.items() if name in fields):
                return fields
    return None


def one_answer(example: Example) -> tuple[str, str] | None:
    """Return the expected word and the foil, without their leading spaces; None unless there is one of each."""
    if len(example.expected) != 1 or len(example.foils) != 1:
        return None
    expected, foil = example.expected[0], example.foils[0]
    return (expected[1:], foil[1:]) if expected.startswith(" ") and foil.startswith(" ") else None


def spaced(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words as answers after a word: with a leading space each."""
    return tuple(f" {word}" for word in words)


def distinct(words: Sequence[str], allowed: Collection[str]) -> bool:
    """Return True if the words are all different and all allowed."""
    return len(set(words)) == len(words) and all(word in allowed for word in words)
