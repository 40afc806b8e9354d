"""The generated training text of the bundled model, and the combinations held out of it."""

import hashlib
import itertools
import random
from collections.abc import Callable

from engine.tasks import docstring, gendered_pronoun, greater_than, induction, ioi, sequence_continuation
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

# Parts of the tasks' lists: the vocabulary stays small, and the tasks use those words that are one token.
SHE, HE = FEMALE[:28], MALE[:28]
NAMES = SHE + HE
HELD_OUT_NAMES = frozenset(SHE[-5:] + HE[-5:])
"""Never an indirect object or a giver in training; they occur in lists and before pronouns."""
_CHOSEN = (OBJECTS[:24], PLACES[:20], ROLES[:12], EVENTS[:14], ARGUMENTS[:40], NOUNS[:48])
_KNOWN = frozenset(word for words in _CHOSEN for word in words)
# A word chosen for one list may also be in another, where the task will use it, as it is one token now.
THINGS, WHERE, WHO, WHAT, PARAMETERS, WORDS = (
    tuple(word for word in words if word in _KNOWN) for words in (OBJECTS, PLACES, ROLES, EVENTS, ARGUMENTS, NOUNS)
)
YEAR_NOISE = 0.02
"""Share of end years drawn from all hundred.

A model that can never be certain keeps its answer below the ceiling, where patching one of several heads would have no
visible effect.
"""

Document = list[tuple[str, bool]]
"""Pieces of text, each with True if it is an answer: one token that the text before it determines."""


def held_out(*parts: str) -> bool:
    """Return True if this combination (two names, two words, an event's year) is held out of training: one in eight."""
    return hashlib.sha256("/".join(parts).encode()).digest()[0] < 32


def indirect_object(rng: random.Random) -> Document:
    """Make one to two sentences of giving; in one of eight the giver is a third person, and the answer open."""
    people = [name for name in NAMES if name not in HELD_OUT_NAMES]
    document: Document = []
    for sentence in range(1 + (rng.random() < 0.3)):
        first, second, third = rng.sample(people, 3)
        while held_out(*sorted((first, second))):
            first, second, third = rng.sample(people, 3)
        giver, receiver = (first, second) if rng.random() < 0.5 else (second, first)
        filled = rng.choice(ioi.TEMPLATES).format(
            first=first,
            second=second,
            giver=third if rng.random() < 0.125 else giver,
            place=rng.choice(WHERE),
            object=rng.choice(THINGS),
        )
        document += [(" " * sentence + filled, False), (f" {receiver}", True), (".", False)]
    return document


def duration(rng: random.Random) -> Document:
    """Make one to two sentences on something that lasted from one year to a later one."""
    document: Document = []
    for sentence in range(1 + (rng.random() < 0.3)):
        event, century, start = rng.choice(WHAT), rng.choice(greater_than.CENTURIES), rng.randint(2, 98)
        while held_out(str(century), str(start)):
            century, start = rng.choice(greater_than.CENTURIES), rng.randint(2, 98)
        if rng.random() < 0.1:
            start = 1
        end = rng.randrange(100) if rng.random() < YEAR_NOISE else rng.randint(start + 1, 99)
        filled = rng.choice(greater_than.TEMPLATES).format(event=event, start=f"{century}{start:02}", end=century)
        document += [(" " * sentence + filled, False), (f"{end:02}", True), (".", False)]
    return document


def function(rng: random.Random) -> Document:
    """Make a function whose docstring lists its arguments in order, from one of the first three on."""
    names = rng.sample(PARAMETERS, rng.randint(4, 7))
    while any(held_out("argument", *pair) for pair in itertools.pairwise(names)):
        names = rng.sample(PARAMETERS, rng.randint(4, 7))
    opening = docstring.source_text(rng.choice(FUNCTIONS), names, (), rng.sample(WORDS, 2))
    document: Document = [(opening, False)]
    first = rng.randint(0, docstring.MAX_BEFORE)
    for number, name in enumerate(names[first : first + 4]):
        words = " ".join(rng.sample(WORDS, rng.randint(1, 3)))
        document += [(f" {name}", number > 0), (f": {words}\n    :param", False)]
    return document


def word_list(rng: random.Random) -> Document:
    """Make a list of random words in which words are repeated, followed by their successors."""
    pool = list(dict.fromkeys(WORDS if rng.random() < 0.6 else WORDS + NAMES + PARAMETERS))
    if rng.random() < 0.4:
        return _repeated(rng.sample(pool, rng.randint(5, 12)))
    fresh = rng.sample(pool, rng.randint(14, 24))
    shown = [fresh.pop() for _ in range(rng.randint(5, 12))]
    document: Document = [(f"{induction.OPENING} {' '.join(shown)}", False)]
    while fresh:
        at = rng.randrange(len(shown) - 1)
        cue, answer = shown[at], shown[at + 1]
        if cue == shown[-1] or shown.count(cue) > 1 or shown.count(answer) > 1 or held_out("word", cue, answer):
            shown.append(fresh.pop())
            document.append((f" {shown[-1]}", False))
            continue
        between = [fresh.pop() for _ in range(min(len(fresh), rng.randint(1, 3)))]
        document += [(f" {cue}", False), (f" {answer}", True), *((f" {word}", False) for word in between)]
        shown += [cue, answer, *between]
    return document


def repeated_list(rng: random.Random) -> Document:
    """Make a short list of words twice; from these, the start of training, induction grows in hundreds of steps."""
    return _repeated(rng.sample(WORDS, rng.randint(3, 12)))


def _repeated(words: list[str]) -> Document:
    """Repeat the words: nearly every word of the second half is an answer, which is what induction grows from."""
    pairs = itertools.pairwise(words)
    again = [(f" {word}", not held_out("word", before, word)) for before, word in pairs]
    return [(f"{induction.OPENING} {' '.join(words)} {words[0]}", False), *again]


def tag_question(rng: random.Random) -> Document:
    """Make a sentence about a person and its tag question; a person of unknown gender gets either pronoun."""
    she = rng.random() < 0.5
    name = rng.choice(NEUTRAL) if rng.random() < 0.15 else rng.choice(SHE if she else HE)
    filled = rng.choice(gendered_pronoun.TEMPLATES).format(name=name, role=rng.choice(WHO))
    return [(filled, False), (" she" if she else " he", True), ("?", False)]


def series(rng: random.Random) -> Document:
    """Make digits, number words or months in order; in one of four without order."""
    name = rng.choice(list(sequence_continuation.SERIES))
    items = sequence_continuation.SERIES[name]
    n = rng.randint(4, 6)
    start = rng.randrange(len(items) - n)
    if rng.random() < 0.25:
        return [(f"{name}: {' '.join(rng.sample(items, n + 1))}", False)]
    document: Document = [(f"{name}: {' '.join(items[start : start + 3])}", False)]
    return document + [(f" {item}", True) for item in items[start + 3 : start + n + 1]]


Kinds = dict[str, tuple[Callable[[random.Random], Document], int, bool]]

KINDS: Kinds = {
    "ioi": (indirect_object, 16, False),
    "greater_than": (duration, 22, False),
    "gendered_pronoun": (tag_question, 4, False),
    "sequence_continuation": (series, 2, False),
    "docstring": (function, 16, True),
    "induction": (word_list, 20, True),
}
"""By task: the generator, its documents per batch, and True if they are long."""


OPENING: Kinds = {"repeats": (repeated_list, 64, True)}
"""The documents of the first steps: mixed with the others, induction never formed (docs/lab, bundled-model)."""


def vocabulary_text() -> list[str]:
    """Return every word of the generated text, with its space, and documents with every template."""
    listed = (*NAMES, *THINGS, *WHERE, *WHO, *WHAT, *PARAMETERS, *WORDS, *FUNCTIONS, *NEUTRAL, "she", "he")
    counted = [item for items in sequence_continuation.SERIES.values() for item in items]
    years = [f" {century}{rest:02}" for century in greater_than.CENTURIES for rest in range(100)]
    rng = random.Random("vocabulary")
    documents = ["".join(text for text, _ in make(rng)) for make, _, _ in KINDS.values() for _ in range(300)]
    return [*(f" {word}" for word in (*listed, *counted)), *years, *documents]
