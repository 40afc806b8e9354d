"""Slots: `{name=Mary,John}` in a line stands for each of its words in turn. Light to import.

A list is named once, in the line that first uses it or in a line of its own (`{name} = Mary, John, Ann`), and used
again as `{name}`, which takes the same word. `{name#1}` and `{name#2}` take different words of one list. Lines that
share a pair number are expanded together, so that their slots agree, and every pair gets a number of its own.
Braces that name no list stay as they are.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES

Lists = Mapping[str, tuple[str, ...]]
"""Words by the name of their list."""

_SLOT = re.compile(r"\{\s*([A-Za-z_]\w*)(#\d{1,3})?\s*(?:=([^{}]*))?\}")
_LIST = re.compile(r"\s*\{\s*([A-Za-z_]\w*)\s*\}\s*=(?!>)(.*)", re.DOTALL)
_PAIR = re.compile(r"\s*[+-](\d{1,9})(?=\s|$)")
_Slot = tuple[str, str]
"""Name of its list, and its # with the number, or nothing."""


def is_list(line: str) -> bool:
    """Whether the line only gives a list its words."""
    return _LIST.fullmatch(line) is not None


def read_lists(lines: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The lists that lines of their own and slots with words define; the last definition counts."""
    lists: dict[str, tuple[str, ...]] = {}
    for line in lines:
        own = _LIST.fullmatch(line)
        if own is not None:
            lists[own.group(1)] = _words(own.group(2))
            continue
        for slot in _SLOT.finditer(line):
            if slot.group(3) is not None and (words := _words(slot.group(3))):
                lists[slot.group(1)] = words
    return {name: words for name, words in lists.items() if words}


def spelled_out(lines: Sequence[str]) -> list[str]:
    """The lines, each with the words of its lists in it: it needs no line that only names a list any more."""
    lists = read_lists(lines)
    found = []
    for line in lines:
        if is_list(line):
            continue
        own = read_lists([line])
        for name in dict.fromkeys(slot.group(1) for slot in _SLOT.finditer(line)):
            if name in lists and name not in own:
                first = next(slot for slot in _SLOT.finditer(line) if slot.group(1) == name)
                words = f"{first.group()[:-1]}={','.join(lists[name])}}}"
                line = f"{line[: first.start()]}{words}{line[first.end() :]}"
        found.append(line)
    return found


def count(lines: Sequence[str], lists: Lists | None = None) -> int:
    """How many lines `expand` would give."""
    known = {**(lists or {}), **read_lists(lines)}
    return sum(len(group) * _ways(_slots(group, known), known) for group in _groups(lines))


def expand(lines: Sequence[str], lists: Lists | None = None) -> list[str]:
    """Every line with its slots filled in all ways, in the order of the words; lines without slots as they are.

    Raises ExampleError where that would be too many.
    """
    known = {**(lists or {}), **read_lists(lines)}
    groups = _groups(lines)
    total = sum(len(group) * _ways(_slots(group, known), known) for group in groups)
    if total > MAX_EXAMPLES:
        raise ExampleError(
            f"The slots make {total} examples; {MAX_EXAMPLES} is the most Headcode keeps.",
            hint="Shorten the lists, or use fewer slots in a line: a probe needs 10 to 500.",
        )
    free = 1 + max((int(pair.group(1)) for line in lines if (pair := _PAIR.match(line))), default=-1)
    found: list[str] = []
    for group in groups:
        slots = _slots(group, known)
        for number, words in enumerate(_assignments(slots, known)):
            for line in group:
                filled = _SLOT.sub(lambda slot: words.get(_key(slot), slot.group()), line)  # noqa: B023  # used at once
                pair = _PAIR.match(line)
                if pair and number:
                    filled = f"{filled[: pair.start(1)]}{free}{filled[pair.end(1) :]}"
                found.append(filled)
            free += bool(number) and bool(_PAIR.match(group[0]))
    return found


def _groups(lines: Sequence[str]) -> list[list[str]]:
    """Lines of one pair together, where the first of them stands; every other line alone."""
    groups: list[list[str]] = []
    of_pair: dict[str, list[str]] = {}
    for line in lines:
        pair = _PAIR.match(line)
        if pair and pair.group(1) in of_pair:
            of_pair[pair.group(1)].append(line)
            continue
        groups.append([line])
        if pair:
            of_pair[pair.group(1)] = groups[-1]
    return groups


def _slots(group: Sequence[str], lists: Lists) -> list[_Slot]:
    """The different slots of a group in the order they stand."""
    found = (_key(slot) for line in group for slot in _SLOT.finditer(line))
    return [slot for slot in dict.fromkeys(found) if slot[0] in lists]


def _key(slot: re.Match[str]) -> _Slot:
    return slot.group(1), slot.group(2) or ""


def _ways(slots: Sequence[_Slot], lists: Lists) -> int:
    by_list = [sum(name == slot[0] for slot in slots) for name in dict.fromkeys(slot[0] for slot in slots)]
    names = dict.fromkeys(slot[0] for slot in slots)
    return math.prod(math.perm(len(lists[name]), n) for name, n in zip(names, by_list, strict=True))


def _assignments(slots: Sequence[_Slot], lists: Lists) -> Iterator[dict[_Slot, str]]:
    names = list(dict.fromkeys(slot[0] for slot in slots))
    mine = [[slot for slot in slots if slot[0] == name] for name in names]
    choices = [itertools.permutations(lists[name], len(own)) for name, own in zip(names, mine, strict=True)]
    for chosen in itertools.product(*choices):
        yield {
            slot: word for own, words in zip(mine, chosen, strict=True) for slot, word in zip(own, words, strict=True)
        }


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in text.split(",") if (word := part.strip())))
