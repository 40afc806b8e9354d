"""Assess whether a set of examples is ready to run, and what to fix first. Light to import."""

from collections.abc import Container, Iterable, Mapping, Sequence

import msgspec

from engine.authoring.distinct_pairs import distinct_prompts, format_missing, text_keys
from engine.authoring.drafts import flaw
from engine.authoring.templates import is_template, read_lists
from engine.authoring.text_format import write_line
from engine.examples import Example
from engine.results import Grade

_FEW = 5
"""Examples per side below which scores are unstable (published runs: 250; 10 of both suffice)."""
_TOO_MANY_BROKEN = 1 / 3


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The assessment of a set."""

    ready: bool
    """True if running it makes sense."""
    words: str
    mend: int | None = None
    """The example to fix first."""
    todo: str = ""
    """How to fix it, or the next step."""
    action: str = ""
    """The action of the write screen that does it, whose key is shown before `todo`; empty: none."""
    missing: str = ""
    """How many more pairs are needed for a single head to be significant; empty if enough, or without a model."""


def check_readiness(
    examples: Sequence[Example],
    grades: Mapping[int, Grade],
    flaws: Mapping[int, str] | None = None,
    templates: Container[int] | None = None,
    n_heads: int | None = None,
) -> Readiness:
    """Assess the set. `grades` by example index; missing ones are still being graded.

    `flaws` by index and the indices of `templates`, if the caller has them already; `n_heads` of the grading model.
    """
    if flaws is None:
        flaws = {index: words for index, each in enumerate(examples) if (words := flaw(each))}
    use = [index for index, each in enumerate(examples) if each.enabled]
    sides = {positive: [i for i in use if examples[i].positive is positive] for positive in (True, False)}
    if not use:
        return _first_flaw(flaws) or Readiness(
            ready=False, words="No examples yet.", action="add", todo="adds a line; paste adds many."
        )
    counts = f"{len(sides[True])} + {len(sides[False])}"
    for positive, word, action, todo in (
        (True, "positive", "add", "adds one: + prompt => expected | foil"),
        (False, "negative", "negatives", "proposes some for a positive"),
    ):
        if not sides[positive]:
            words = f"{counts}: not yet, no {word} is among them."
            return _first_flaw(flaws) or Readiness(ready=False, words=words, action=action, todo=todo)
    crooked = _first_broken_pair(examples, use)
    if crooked is not None:
        pair = examples[crooked].pair
        return Readiness(
            ready=False,
            words=f"{counts}: not yet, pair {pair} is not one positive and one negative.",
            mend=crooked,
            action="pair",
            todo="takes an example out of its pair",
        )
    if templates is None:
        templates = templates_in(examples)
    found = _graded(examples, grades, flaws, templates, use, sides, counts)
    if n_heads is None:
        return found
    counted = [examples[index] for index in use if index not in templates]
    return msgspec.structs.replace(found, missing=format_missing(counted, n_heads))


def n_distinct(examples: Iterable[Example]) -> int:
    """Return how many examples are no copies: the same prompt twice on one side is evidence once."""
    found = tuple(examples)
    return sum(distinct_prompts(found, text_keys(found)))


def templates_in(examples: Sequence[Example]) -> frozenset[int]:
    """Return the places of the examples with slots that are still to be filled."""
    lines = {index: write_line(each) for index, each in enumerate(examples) if _may_have_slots(each)}
    lists = read_lists(tuple(lines.values()))
    return frozenset(index for index, line in lines.items() if is_template(line, lists))


def _graded(
    examples: Sequence[Example],
    grades: Mapping[int, Grade],
    flaws: Mapping[int, str],
    templates: Container[int],
    use: list[int],
    sides: dict[bool, list[int]],
    counts: str,
) -> Readiness:
    slots = [index for index in use if index in templates]
    verdicts = {index: grades[index].verdict for index in use if index in grades and index not in templates}
    broken = [index for index, verdict in verdicts.items() if verdict == "broken"]
    weak = [index for index, verdict in verdicts.items() if verdict == "weak"]
    unequal = [index for index in use if index in grades and grades[index].equal_length is False]
    distinct = n_distinct(examples[index] for index in use)
    remarks = [f"{len(use)} examples, {distinct} distinct"] if distinct < len(use) else []
    remarks += [f"{len(broken)} broken"] if broken else []
    remarks += [f"{len(weak)} weak"] if weak else []
    uneven = len(unequal) // 2 or 1
    remarks += [f"{uneven} unequal {'pair' if uneven == 1 else 'pairs'}"] if unequal else []
    remarks += [f"{len(flaws)} unread"] if flaws else []
    remarks += [f"{len(slots)} with slots"] if slots else []
    left = len(use) - len(slots) - len(verdicts)
    if left:
        remarks.append(f"{left} still to grade")
    hopeless = verdicts and len(broken) > _TOO_MANY_BROKEN * len(verdicts)
    few = min(n_distinct(examples[i] for i in each) for each in sides.values()) < _FEW
    if hopeless:
        verdict = "Hardly worth running, the model cannot do this"
    elif few:
        verdict = "Worth a try"
    else:
        verdict = "Grading goes on" if left else "Worth running"
    state = f"{verdict}. {', '.join((counts, *remarks))}."
    if few and not hopeless:
        state += f" {_FEW} of each give more stable scores."
    found = _first_flaw(flaws)
    if slots:
        return Readiness(
            ready=True, words=state, mend=slots[0], action="unfold", todo=f"fills the slots of line {slots[0] + 1}"
        )
    if broken:
        # A positive the model cannot do is useless; a negative it knows only adds noise.
        first = min(broken, key=lambda index: (not examples[index].positive, index))
        return Readiness(ready=not hopeless, words=state, mend=first, todo=_fix_text(first, grades[first].reason))
    if found is not None:
        return Readiness(ready=True, words=state, mend=found.mend, todo=found.todo)
    if unequal:
        todo = _fix_text(unequal[0], "its pair has another number of tokens")
        return Readiness(ready=True, words=state, mend=unequal[0], todo=todo)
    if weak:
        return Readiness(ready=True, words=state, mend=weak[0], todo=_fix_text(weak[0], grades[weak[0]].reason))
    return Readiness(ready=True, words=state, action="run", todo="runs it")


def _may_have_slots(example: Example) -> bool:
    return "{" in example.prompt or any("{" in text for text in (*example.expected, *example.foils))


def _fix_text(index: int, reason: str) -> str:
    return f"fix {index + 1} first: {reason}"


def _first_flaw(flaws: Mapping[int, str]) -> Readiness | None:
    if not flaws:
        return None
    first = min(flaws)
    words = "1 line cannot be read." if len(flaws) == 1 else f"{len(flaws)} lines cannot be read."
    return Readiness(ready=False, words=words, mend=first, todo=_fix_text(first, flaws[first]))


def _first_broken_pair(examples: Sequence[Example], use: Sequence[int]) -> int | None:
    """Return the first example that breaks a pair, as a run would see it."""
    seen: dict[int, list[bool]] = {}
    for index in use:
        pair = examples[index].pair
        if pair is None:
            continue
        sides = seen.setdefault(pair, [])
        if examples[index].positive in sides:
            return index
        sides.append(examples[index].positive)
    return None
