"""Minimal edits of a positive that may make its answer unknowable: candidates to be graded by the model.

Light to import: only the model's tokenizer can tell whether an edit keeps the number of tokens.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from engine.examples import Example
from engine.results import Grade
from engine.tasks.word_classes import ANIMALS, CITIES, COLOURS, COUNTING, COUNTRIES, DAYS, MONTHS, SMALL
from engine.tasks.words import (
    ARGUMENTS,
    EVENTS,
    FEMALE,
    FUNCTIONS,
    MALE,
    NEUTRAL,
    NOUNS,
    OBJECTS,
    PLACES,
    ROLES,
)

MOST = 32
"""Edits proposed; the model grades them all and the best few are shown."""
SHOWN = 5
_ALTERNATIVES = 4
"""Words tried at the same position."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NUMBER = re.compile(r"\d+")
_SIGNATURE = re.compile(r"\(([^()]*,[^()]*)\)")
_RECEIVERS = ("self", "cls")
"""First in a method's signature, and not an argument that anybody passes."""
_NAMES = frozenset((*FEMALE, *MALE))
_CLASSES = (
    *(COUNTRIES, CITIES, DAYS, MONTHS, COLOURS, ANIMALS, COUNTING),
    *(OBJECTS, PLACES, ROLES, EVENTS, FUNCTIONS, NOUNS),
)
_LISTED = re.compile(r"(?<![^\s,;])[^\s,;]{1,40}(?=[,;])")
_LAST = re.compile(r"(?<![^\s,;])[^\s,;]{1,40}(?=\W{0,8}$)")
_LONGEST = 20_000
"""Maximum characters of a prompt that is edited."""
_Span = tuple[int, int, str]
"""Start, end and text of a word."""


class PromptEdit(msgspec.Struct, frozen=True, kw_only=True):
    """A changed prompt and what was changed."""

    prompt: str
    kind: str


def propose(example: Example) -> tuple[PromptEdit, ...]:
    """Return edits of the example's prompt, at most MOST, the likeliest kinds in turn; deterministic per example."""
    if len(example.prompt) > _LONGEST:
        return ()
    rng = random.Random(example.prompt)
    answers = [text.strip() for text in (*example.expected, *example.foils) if text.strip()]
    kinds = [
        _other_names(example.prompt, rng, answers),
        _swapped_names(example.prompt),
        _numbers(example.prompt, rng),
        _arguments(example.prompt, rng, answers),
        _without_the_answer(example, rng),
        _repeated(example.prompt, rng, answers),
        _same_class(example.prompt, rng, answers),
        _shuffled(example.prompt, rng),
        _exchanged(example.prompt, rng),
    ]
    found: dict[str, str] = {}
    while kinds and len(found) < MOST:
        for kind in tuple(kinds):
            edit = next(kind, None)
            if edit is None:
                kinds.remove(kind)
            elif edit[0] != example.prompt and edit[0] not in found and edit[0].strip() and len(found) < MOST:
                found[edit[0]] = edit[1]
    return tuple(PromptEdit(prompt=prompt, kind=kind) for prompt, kind in found.items())


def as_negative(example: Example, prompt: str, *, pair: int | None) -> Example:
    """Return the negative such an edit makes of the example: the same answer, which should be unknown now."""
    return Example(prompt=prompt, polarity="negative", expected=example.expected, foils=example.foils, pair=pair)


def best_edits(
    edits: Sequence[PromptEdit], grades: Sequence[Grade], *, n_tokens: int
) -> tuple[tuple[PromptEdit, Grade], ...]:
    """Return at most SHOWN edits that keep the number of tokens: those with the least known answer, kinds mixed."""
    order = {"ok": 0, "ungraded": 1, "weak": 2, "broken": 3}
    fitting = [(edit, grade) for edit, grade in zip(edits, grades, strict=True) if grade.n_tokens == n_tokens]
    fitting.sort(key=lambda each: (order[each[1].verdict], _rank(each[0]), each[1].probability or 0.0))
    chosen: list[tuple[PromptEdit, Grade]] = []
    taken: Counter[str] = Counter()
    for kind in _NAMED:
        # Kinds that people write by hand come first, even if the answer is still half known: the grade shows it.
        named = [each for each in fitting if _kind(each[0]) == kind and order[each[1].verdict] <= order["weak"]]
        chosen += named[:1]
        taken[kind] += len(named[:1])
    for most_of_a_kind in (1, 2, SHOWN):
        for each in fitting:
            kind = _kind(each[0])
            if each not in chosen and taken[kind] < most_of_a_kind and len(chosen) < SHOWN:
                if most_of_a_kind < SHOWN and order[each[1].verdict] > 1 and len(fitting) > SHOWN:
                    continue  # another kind is included only if it works
                chosen.append(each)
                taken[kind] += 1
    return tuple(sorted(chosen, key=fitting.index))


def _rank(edit: PromptEdit) -> int:
    """Rank edits that leave a sentence before those that leave only words."""
    kind = _kind(edit)
    return _NATURAL.index(kind) if kind in _NATURAL else len(_NATURAL)


def _kind(edit: PromptEdit) -> str:
    return edit.kind.partition(":")[0]


_NAMED = ("another name", "another number", "other arguments", "shuffled arguments", "swapped roles")
_NATURAL = (
    *_NAMED,
    *("without the answer", "not said before", "not repeated", "order shuffled", "another word"),
)

# ---- kinds of edits, each a stream of (prompt, what was changed)


def _other_names(prompt: str, rng: random.Random, answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Use a third person where a name is repeated; else another name everywhere."""
    names = [span for span in _words(prompt) if span[2] in _NAMES]
    counts = Counter(name for _, _, name in names)
    again = [next(span for span in reversed(names) if span[2] == name) for name, n in counts.items() if n > 1]
    for span in again:
        for other in _others(span[2], _list_of(span[2]), prompt, rng, answers):
            yield _put(prompt, [span], other), f"another name: {span[2]} → {other}"
        for other in _others("", _opposite(span[2]), prompt, rng, answers)[:1]:
            yield _put(prompt, [span], other), f"another name: {span[2]} → {other}"
    if not again:
        for name in counts:
            places = [span for span in names if span[2] == name]
            for other in (
                *_others(name, _opposite(name), prompt, rng, answers)[:2],
                *_others(name, _list_of(name), prompt, rng, answers)[:1],
                *NEUTRAL[:1],
            ):
                yield _put(prompt, places, other), f"another name: {name} → {other}"


def _swapped_names(prompt: str) -> Iterator[tuple[str, str]]:
    """Swap two people, everywhere or only where one is repeated."""
    names = [span for span in _words(prompt) if span[2] in _NAMES]
    different = list(dict.fromkeys(name for _, _, name in names))
    for index, one in enumerate(different):
        for other in different[index + 1 :]:
            for name, new in ((one, other), (other, one)):
                places = [span for span in names if span[2] == name]
                if len(places) > 1:
                    yield _put(prompt, places[-1:], new), f"swapped roles: {name} → {new}"
            swap = {one: other, other: one}
            spans = [span for span in names if span[2] in swap]
            yield _put(prompt, spans, *(swap[span[2]] for span in spans)), f"swapped roles: {one} ↔ {other}"


def _numbers(prompt: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Use a year that ends in 01 (every later one is likely), and other numbers of as many digits."""
    spans = [(found.start(), found.end(), found.group()) for found in _NUMBER.finditer(prompt)]
    for span in spans:
        number = span[2]
        if len(number) >= 3 and not number.endswith("01"):
            yield _put(prompt, [span], number[:-2] + "01"), f"another number: {number} → {number[:-2]}01"
    for _ in range(_ALTERNATIVES):
        for span in spans:
            number = span[2]
            kept = number[:-2] if len(number) > 2 else ""
            other = kept + "".join(rng.choice("0123456789") for _ in number[len(kept) :])
            if other[0] == "0" and number[0] != "0":
                other = rng.choice("123456789") + other[1:]
            yield _put(prompt, [span], other), f"another number: {number} → {other}"


def _arguments(prompt: str, rng: random.Random, answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Rename or reorder the arguments of a signature; the text below it stays."""
    for signature in _SIGNATURE.finditer(prompt):
        spans = [
            (signature.start(1) + begin, signature.start(1) + end, word)
            for begin, end, word in _words(signature.group(1), re.compile(r"[^\W\d]\w*"))
        ]
        if spans and spans[0][2] in _RECEIVERS:
            del spans[0]
        if len(spans) < 2:
            continue
        names = [word for _, _, word in spans]
        free = [word for word in ARGUMENTS if word not in prompt and word not in answers]
        if len(free) >= len(spans):
            for draw in range(_ALTERNATIVES):
                others = _as_long(names, rng.sample(free, len(free)) if draw else free)
                yield _put(prompt, spans, *others), f"other arguments: {', '.join(others)}"
        shifted = names[1:] + names[:1]
        yield _put(prompt, spans, *shifted), f"shuffled arguments: {', '.join(shifted)}"
        mixed = rng.sample(names, len(names))
        yield _put(prompt, spans, *mixed), f"shuffled arguments: {', '.join(mixed)}"


def _as_long(names: Sequence[str], free: Sequence[str]) -> list[str]:
    """Return a free word for each name, of its length if there is one: it more likely has as many tokens."""
    left, found = list(free), []
    for name in names:
        chosen = min(left, key=lambda word: abs(len(word) - len(name)))
        left.remove(chosen)
        found.append(chosen)
    return found


def _without_the_answer(example: Example, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Replace the expected word in the prompt, if it is there."""
    expected = [text.strip() for text in example.expected if text.strip()]
    answers = [*expected, *(text.strip() for text in example.foils)]
    for answer in expected[:2]:
        places = [span for span in _words(example.prompt) if span[2] == answer]
        for other in _others(answer, _list_of(answer), example.prompt, rng, answers) if places else ():
            yield _put(example.prompt, places, other), f"without the answer: {answer} → {other}"


def _repeated(prompt: str, rng: random.Random, answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Replace one of two occurrences of a word: nothing is left to repeat."""
    words = [span for span in _words(prompt) if span[2].lower() not in SMALL]
    counts = Counter(word for _, _, word in words)
    for word in (word for word in reversed(counts) if counts[word] > 1):
        places = [span for span in words if span[2] == word]
        for other in _others(word, _list_of(word), prompt, rng, answers):
            yield _put(prompt, places[-1:], other), f"not repeated: {word} → {other}"
            yield _put(prompt, places[:1], other), f"not said before: {word} → {other}"


def _same_class(prompt: str, rng: random.Random, answers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Replace a word by another of its class, the last words first."""
    for span in reversed([span for span in _words(prompt) if span[2].lower() not in SMALL and span[2] not in _NAMES]):
        for other in _others(span[2], _list_of(span[2]), prompt, rng, answers)[:2]:
            yield _put(prompt, [span], other), f"another word: {span[2]} → {other}"


def _shuffled(prompt: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Reorder the members of a list, if the prompt is or contains one."""
    spans = [(found.start(), found.end(), found.group()) for found in _LISTED.finditer(prompt)]
    if len(spans) < 2 or "(" in prompt:
        return
    tail = _LAST.search(prompt[spans[-1][1] :])
    if tail:
        begin = spans[-1][1] + tail.start()
        spans.append((begin, begin + len(tail.group()), tail.group()))
    texts = [text for _, _, text in spans]
    for _ in range(_ALTERNATIVES):
        yield _put(prompt, spans, *rng.sample(texts, len(texts))), "order shuffled"


def _exchanged(prompt: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Swap two words of the prompt."""
    words = [span for span in _words(prompt) if span[2].lower() not in SMALL][-200:]
    pairs = [(one, other) for i, one in enumerate(words) for other in words[i + 1 :] if one[2] != other[2]]
    for one, other in rng.sample(pairs, min(len(pairs), 3 * _ALTERNATIVES)):
        yield _put(prompt, [one, other], other[2], one[2]), f"exchanged: {one[2]} ↔ {other[2]}"


# ---- words


def _words(prompt: str, pattern: re.Pattern[str] = _WORD) -> list[_Span]:
    return [(found.start(), found.end(), found.group()) for found in pattern.finditer(prompt)]


def _put(prompt: str, spans: Sequence[_Span], *texts: str) -> str:
    """Replace the spans in the prompt: by one text, or by one each."""
    each = texts if len(texts) == len(spans) else texts * len(spans)
    for (begin, end, _), text in sorted(zip(spans, each, strict=True), reverse=True):
        prompt = prompt[:begin] + text + prompt[end:]
    return prompt


def _list_of(word: str) -> Sequence[str]:
    """Return words of the same class as this one."""
    for names in (FEMALE, MALE):
        if word in names:
            return names
    found = next((words for words in _CLASSES if word in words or word.lower() in words), NOUNS)
    return [other.capitalize() for other in found] if word[:1].isupper() else found


def _opposite(name: str) -> Sequence[str]:
    return MALE if name in FEMALE else FEMALE


def _others(
    word: str, words: Sequence[str], prompt: str, rng: random.Random, answers: Sequence[str]
) -> tuple[str, ...]:
    """Return a few of the words that the prompt does not contain. Common ones come first: they are single tokens."""
    free = [other for other in dict.fromkeys(words) if other != word and other not in prompt and other not in answers]
    near = free[: 6 * _ALTERNATIVES]
    return tuple(rng.sample(near, min(len(near), _ALTERNATIVES)))
