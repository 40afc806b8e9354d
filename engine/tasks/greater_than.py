"""Greater than: something that began in a year cannot end in an earlier one."""

import random

import msgspec

from engine.errors import TaskError
from engine.examples import Example
from engine.results import Reference
from engine.tasks.base import PairDraft, Splitter, Task, collect, need, spaced_words
from engine.tasks.recognise import filled_in
from engine.tasks.words import EVENTS

TEMPLATES = (
    "The {event} lasted from the year {start} to the year {end}",
    "The {event} went on from the year {start} to the year {end}",
)
CENTURIES = range(11, 19)
YEARS = range(10, 90)
"""Last two digits of the start year. Others leave too few on one side to distinguish knowledge from chance."""

PUBLISHED = Reference(
    name="greater-than in GPT-2 small",
    source="Hanna et al. 2023, How does GPT-2 compute greater-than?, arXiv:2305.00586",
    heads=((0, 1), (0, 3), (0, 5), (5, 5), (6, 1), (6, 9), (7, 10), (8, 11), (9, 1)),
)


class _Year(msgspec.Struct, frozen=True):
    """A start year that the tokenizer can express."""

    start: str
    control: str
    """The negative's start year, after which every answer is equally valid."""
    end: str
    """The part of the end year in the prompt."""
    expected: tuple[str, ...]
    foils: tuple[str, ...]


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Make pairs in which the negative starts in 01, so that nearly every later year is allowed."""
    events = need(spaced_words(splitter, EVENTS), 4, "events", "greater_than")
    years = usable_years(splitter)
    if not years:
        shown = "|".join(splitter.pieces(" 1732"))
        raise TaskError(
            f"greater_than: this model's tokenizer splits ' 1732' as '{shown}'; the task needs years that end in a "
            "token of one or two digits, after the same beginning.",
            hint="Choose another task (headcode tasks) or another model (headcode models list).",
        )

    def draw() -> PairDraft:
        template, event, year = rng.choice(TEMPLATES), rng.choice(events), rng.choice(years)
        return PairDraft(
            positive=template.format(event=event, start=year.start, end=year.end),
            negative=template.format(event=event, start=year.control, end=year.end),
            expected=year.expected,
            foils=year.foils,
        )

    return collect("greater_than", splitter, pairs, draw)


def usable_years(splitter: Splitter) -> list[_Year]:
    """Return every start year that this tokenizer can express, in order; empty if there is none.

    The way ' 1732' is split decides which part of the end year is in the prompt and which token is expected: `17|32`
    two digits, `1|7|3|2` the tens digit, `173|2` the units digit. In the last two the equal digit is neither right nor
    wrong (1735 follows 1732 and so may 17|3..), hence it is in neither set.
    """
    years = (_year(splitter, f"{century}{rest:02}") for century in CENTURIES for rest in YEARS)
    return _answerable(splitter, [year for year in years if year is not None])


def _year(splitter: Splitter, start: str) -> _Year | None:
    """Return the question of this start year, with all its answers; None if there is none."""
    pieces = splitter.pieces(f" {start}")
    if pieces[-1] == start[2:]:  # two digits
        shown, control, asked, width = start[:2], f"{start[:2]}01", int(start[2:]), 2
    elif pieces[-2:] == (start[2], start[3]):  # single digits: the tens digit is expected
        shown, control, asked, width = start[:2], f"{start[:2]}01", int(start[2]), 1
    elif pieces[-1] == start[3]:  # three and one: the units digit is expected
        shown, control, asked, width = start[:3], f"{start[:3]}0", int(start[3]), 1
    else:
        return None
    if width == 1 and not 2 <= asked <= 7:
        return None  # too few digits on one side
    if len(splitter.pieces(f" {control}")) != len(pieces):
        return None
    answers = [f"{number:0{width}}" for number in range(10**width)]
    n_foils = asked + (width == 2)
    return _Year(start, control, shown, tuple(answers[asked + 1 :]), tuple(answers[:n_foils]))


def _answerable(splitter: Splitter, years: list[_Year]) -> list[_Year]:
    """Return the years with those answers that are one token after the prompt; at least two on either side."""
    follows = {
        end: {answer for year in years if year.end == end for answer in (*year.expected, *year.foils)}
        for end in {year.end for year in years}
    }
    for end, answers in follows.items():
        begin = splitter.pieces(f" {end}")
        follows[end] = {answer for answer in answers if splitter.pieces(f" {end}{answer}") == (*begin, answer)}
    kept = []
    for year in years:
        expected = tuple(answer for answer in year.expected if answer in follows[year.end])
        foils = tuple(answer for answer in year.foils if answer in follows[year.end])
        if len(expected) >= 2 and len(foils) >= 2:
            kept.append(_Year(year.start, year.control, year.end, expected, foils))
    return kept


def recognise(example: Example) -> bool:
    """Return True if something lasted from a year, and later end digits are expected against earlier ones.

    In a negative it starts in a year that ends in 01 or 0. The end year is shown as far as a tokenizer may leave the
    rest open.
    """
    found = filled_in(example.prompt, TEMPLATES, {"event": EVENTS})
    if found is None:
        return False
    start, end = found["start"], found["end"]
    digits = example.expected + example.foils
    width = len(digits[0]) if digits else 0
    well_formed = all(text.isascii() and text.isdecimal() and len(text) == width for text in digits)
    shown = {1: (2, 3), 2: (2,)}.get(width, ())
    if not (well_formed and len(start) == 4 and start.isdecimal() and len(end) in shown and start.startswith(end)):
        return False
    later, earlier = [int(text) for text in example.expected], [int(text) for text in example.foils]
    if later != sorted({*later}) or earlier != sorted({*earlier}) or min(len(later), len(earlier)) < 2:
        return False
    if int(start[:2]) not in CENTURIES:
        return False
    if not example.positive:
        # The expected digit is between both sets; the prompt does not show it.
        return start[2:] == ("01" if len(end) == 2 else f"{start[2]}0") and earlier[-1] < later[0]
    asked = int(start[2:]) if width == 2 else int(start[len(end)])
    # With two digits the same year is too early; a single equal digit leaves it open, and is in neither set.
    return int(start[2:]) in YEARS and later[0] > asked >= earlier[-1] + (width == 1)


TASK = Task(
    name="greater_than",
    title="Greater than",
    description="From one year to another: the second is later. Negative: the first year ends in 01.",
    metric="probability_mass",
    maker=make,
    recogniser=recognise,
    published=(("gpt2", PUBLISHED),),
)
