"""Slots: `{name=Mary,John}` in a line takes each of its words in turn. Light to import.

A list is named once, in the line that first uses it or in a line of its own (`{name} = Mary, John, Ann`), and used
again as `{name}`, which takes the same word. `{name#1}` and `{name#2}` take different words of one list. Lines that
share a pair number are expanded together, so that their slots agree, and every pair gets its own number. Braces that
name no list stay as they are.

No prompt is made twice on one side, as a duplicate is no further evidence. So a pair is made only if both its lines are
new.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES

Lists = Mapping[str, tuple[str, ...]]
"""Words by the name of their list."""

_SLOT = re.compile(r"\{\s*([A-Za-z_]\w*)(#\d{1,3})?\s*(?:=([^{}]*))?\}")
_LIST = re.compile(r"\s*\{\s*([A-Za-z_]\w*)\s*\}\s*=(?!>)(.*)", re.DOTALL)
_PAIR = re.compile(r"\s*[+-](\d{1,9})(?=\s|$)")
_OPEN = re.compile(r"\{\s*[A-Za-z_]\w*(#\d{0,3})?\s*=[^{}]*$")
"""A slot without its closing brace yet."""
_SIGN = re.compile(r"\s*([+-])\d{0,9}(?=\s|$)")
_TRIES = 1_000
"""Ways to fill the rest of a pair that are tried until all of its lines are new."""
_Slot = tuple[str, str]
"""Name of its list, and its # with the number, or nothing."""
_Content = tuple[str, str]
"""Side and prompt."""


def is_list(line: str) -> bool:
    """Return True if the line only defines a list."""
    return _LIST.fullmatch(line) is not None


def read_lists(lines: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the lists defined by lines of their own and by slots with words; the last definition counts."""
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


def with_words_inline(lines: Sequence[str]) -> list[str]:
    """Return the lines with the words of their lists written into them, so that no list definition is needed."""
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


def may_be_template(line: str) -> bool:
    """Return True if the line has anything like a slot: a quick check before lists are read."""
    return _SLOT.search(line) is not None


def is_template(line: str, lists: Lists | None = None) -> bool:
    """Return True if the line has slots that can be filled in several ways: then it is not a prompt itself."""
    return "{" in line and ways([line], lists) > 1


def is_open(line: str) -> bool:
    """Return True if the line ends within a slot, as while its words are being typed."""
    return _OPEN.search(line) is not None


def ways(lines: Sequence[str], lists: Lists | None = None) -> int:
    """Return in how many ways the slots can be filled, counted in lines; some ways may give the same lines."""
    known = {**(lists or {}), **read_lists(lines)}
    return sum(len(group) * _ways(_slots(group, known), known) for group in groups_of(lines))


def count(
    lines: Sequence[str], lists: Lists | None = None, *, taken: Iterable[str] = (), exact: int = MAX_EXAMPLES
) -> int:
    """Return how many lines `expand` would give; above `exact`, an upper bound."""
    known = {**(lists or {}), **read_lists(lines)}
    most = _most(groups_of(lines), known)
    return most if most > exact else sum(1 for _ in _expanded(lines, known, taken))


def expand(lines: Sequence[str], lists: Lists | None = None, *, taken: Iterable[str] = ()) -> list[str]:
    """Fill the slots of every line, no prompt twice on one side; lines without slots stay as they are.

    The words come in their order. No line equals one of `taken`. Raises ExampleError
    if there would be too many.
    """
    known = {**(lists or {}), **read_lists(lines)}
    most = _most(groups_of(lines), known)
    if most > MAX_EXAMPLES:
        raise ExampleError(
            f"The slots make {most} examples; {MAX_EXAMPLES} is the most Headcode keeps.",
            hint="Shorten the lists, or use fewer slots in a line: a probe needs 10 to 500.",
        )
    return list(_expanded(lines, known, taken))


def _expanded(lines: Sequence[str], known: Lists, taken: Iterable[str]) -> Iterator[str]:
    groups = [(group, _slots(group, known)) for group in groups_of(lines)]
    seen = {_content(line) for line in taken}
    seen.update(_content(line) for group, slots in groups if not slots for line in group)
    free = 1 + max((int(pair.group(1)) for line in lines if (pair := _PAIR.match(line))), default=-1)
    for group, slots in groups:
        if not slots:
            yield from group
            continue
        for number, filled in enumerate(_filled(group, slots, known, seen)):
            for line in filled:
                pair = _PAIR.match(line)
                yield f"{line[: pair.start(1)]}{free}{line[pair.end(1) :]}" if pair and number else line
            free += bool(number) and bool(_PAIR.match(group[0]))


def _filled(group: Sequence[str], slots: Sequence[_Slot], lists: Lists, seen: set[_Content]) -> Iterator[list[str]]:
    """Yield the lines of a group filled together, as long as all of them are new.

    The line with the fewest fillings leads: it takes each of them once. The words of the others' own slots rotate, so
    that not every pair has the first of a list.
    """
    own = [_slots([line], lists) for line in group]
    lead = min(own, key=lambda each: _ways(each, lists))
    rest = [slot for slot in slots if slot not in lead]
    turn = 0
    for words in _assignments(lead, lists):
        left = {
            name: [word for word in lists[name] if word not in {words[slot] for slot in lead if slot[0] == name}]
            for name in dict.fromkeys(slot[0] for slot in rest)
        }
        n_ways = _ways(rest, left)
        for attempt in range(min(n_ways, _TRIES)):
            both = {**words, **_nth(rest, left, (turn + attempt) % n_ways)}
            filled = [_SLOT.sub(lambda slot: both.get(_key(slot), slot.group()), line) for line in group]  # noqa: B023
            contents = [_content(line) for line in filled]
            if len({*contents}) == len(contents) and seen.isdisjoint(contents):
                seen.update(contents)
                turn += 1
                yield filled
                break


def _nth(slots: Sequence[_Slot], lists: Mapping[str, Sequence[str]], number: int) -> dict[_Slot, str]:
    """Return the filling of that number, each list's words taken once."""
    left = {name: list(words) for name, words in lists.items()}
    found = {}
    for slot in slots:
        words = left[slot[0]]
        number, place = divmod(number, len(words))
        found[slot] = words.pop(place)
    return found


def _content(line: str) -> _Content:
    """Return what makes a line a duplicate: its side and its prompt, regardless of its answers."""
    sign = _SIGN.match(line)
    text = line[sign.end() :] if sign else line
    prompt, arrow, _ = text.rpartition("=>")
    return (sign.group(1) if sign else "+", (prompt if arrow else text).strip())


def _most(groups: Sequence[Sequence[str]], lists: Lists) -> int:
    """Return an upper bound of the groups' lines: as many as the fewest fillings of a line."""
    return sum(len(group) * min(_ways(_slots([line], lists), lists) for line in group) for group in groups)


def groups_of(lines: Sequence[str]) -> list[list[str]]:
    """Group the lines of one pair at the position of the first; every other line is alone."""
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
    """Return the distinct slots of a group in order."""
    found = (_key(slot) for line in group for slot in _SLOT.finditer(line))
    return [slot for slot in dict.fromkeys(found) if slot[0] in lists]


def _key(slot: re.Match[str]) -> _Slot:
    return slot.group(1), slot.group(2) or ""


def _ways(slots: Sequence[_Slot], lists: Mapping[str, Sequence[str]]) -> int:
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
