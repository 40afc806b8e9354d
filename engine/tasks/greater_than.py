"""Greater than: something that began in a year cannot end in an earlier one."""

import random

import msgspec

from engine.errors import TaskError
from engine.examples import Example
from engine.results import Reference
from engine.tasks.base import Draft, Splitter, Task, collect, need, spaced_words
from engine.tasks.words import EVENTS

TEMPLATES = (
    "The {event} lasted from the year {start} to the year {end}",
    "The {event} went on from the year {start} to the year {end}",
)
CENTURIES = range(11, 19)
YEARS = range(10, 90)
"""Last two digits of the start year. Early and late ones leave too little on one side to tell knowing from luck."""

PUBLISHED = Reference(
    name="greater-than in GPT-2 small",
    source="Hanna et al. 2023, How does GPT-2 compute greater-than?, arXiv:2305.00586",
    heads=((0, 1), (0, 3), (0, 5), (5, 5), (6, 1), (6, 9), (7, 10), (8, 11), (9, 1)),
)


class _Year(msgspec.Struct, frozen=True):
    """One start year the tokenizer can be asked about."""

    start: str
    control: str
    """The negative's start year, after which every answer is as good."""
    end: str
    """What the prompt shows of the end year."""
    expected: tuple[str, ...]
    foils: tuple[str, ...]


def make(splitter: Splitter, rng: random.Random, pairs: int) -> list[Example]:
    """Pairs in which the negative starts in 01, so that nearly every later year is allowed."""
    events = need(spaced_words(splitter, EVENTS), 4, "events", "greater_than")
    years = usable_years(splitter)
    if not years:
        shown = "|".join(splitter.pieces(" 1732"))
        raise TaskError(
            f"greater_than: this model's tokenizer splits ' 1732' as '{shown}'; the task needs years that end in a "
            "token of one or two digits, after the same beginning.",
            hint="Choose another task (headcode tasks) or another model (headcode models list).",
        )

    def draw() -> Draft:
        template, event, year = rng.choice(TEMPLATES), rng.choice(events), rng.choice(years)
        return Draft(
            positive=template.format(event=event, start=year.start, end=year.end),
            negative=template.format(event=event, start=year.control, end=year.end),
            expected=year.expected,
            foils=year.foils,
        )

    return collect("greater_than", splitter, pairs, draw)


def usable_years(splitter: Splitter) -> list[_Year]:
    """Every start year this tokenizer can be asked about, in order; empty where it can be asked about none.

    The way ' 1732' is split decides what the prompt shows of the end year and which token is asked for:
    `17|32` two digits, `1|7|3|2` the tens digit, `173|2` the units digit. In the last two the equal digit is
    neither right nor wrong (1735 follows 1732 and so may 17|3..), hence it is in neither set.
    """
    years = []
    for century in CENTURIES:
        for rest in YEARS:
            year = _year(splitter, century, rest)
            if year is not None:
                years.append(year)
    return years


def _year(splitter: Splitter, century: int, rest: int) -> _Year | None:
    start = f"{century}{rest:02}"
    pieces = splitter.pieces(f" {start}")
    last = pieces[-1]
    if last == start[2:]:  # two digits
        shown, control = f"{century}", f"{century}01"
        answers = [f"{n:02}" for n in range(100)]
        above, below = [a for a in answers if int(a) > rest], [a for a in answers if int(a) <= rest]
    elif pieces[-2:] == (start[2], start[3]):  # single digits: asked for is the tens digit
        shown, control = f"{century}", f"{century}01"
        tens = rest // 10
        if not 2 <= tens <= 7:
            return None
        above, below = [str(n) for n in range(tens + 1, 10)], [str(n) for n in range(tens)]
    elif last == start[3]:  # three and one: asked for is the units digit
        shown, control = start[:3], f"{start[:3]}0"
        units = rest % 10
        if not 2 <= units <= 7:
            return None
        above, below = [str(n) for n in range(units + 1, 10)], [str(n) for n in range(units)]
    else:
        return None
    begin = splitter.pieces(f" {shown}")
    follows = {a for a in (*above, *below) if splitter.pieces(f" {shown}{a}")[: len(begin) + 1] == (*begin, a)}
    expected, foils = tuple(a for a in above if a in follows), tuple(a for a in below if a in follows)
    if len(splitter.pieces(f" {control}")) != len(pieces) or len(expected) < 2 or len(foils) < 2:
        return None
    return _Year(start, control, shown, expected, foils)


TASK = Task(
    name="greater_than",
    title="Greater than",
    description="From one year to another: the second is later. Negative: the first year ends in 01.",
    metric="probability_mass",
    maker=make,
    published=(("gpt2", PUBLISHED),),
)
