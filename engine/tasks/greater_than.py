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
    """Every start year this tokenizer can be asked about, in order; empty where it can be asked about none.

    The way ' 1732' is split decides what the prompt shows of the end year and which token is asked for:
    `17|32` two digits, `1|7|3|2` the tens digit, `173|2` the units digit. In the last two the equal digit is
    neither right nor wrong (1735 follows 1732 and so may 17|3..), hence it is in neither set.
    """
    years = (_year(splitter, f"{century}{rest:02}") for century in CENTURIES for rest in YEARS)
    return _answerable(splitter, [year for year in years if year is not None])


def _year(splitter: Splitter, start: str) -> _Year | None:
    """The question this start year gives, all answers of its kind included; None where it gives none."""
    pieces = splitter.pieces(f" {start}")
    if pieces[-1] == start[2:]:  # two digits
        shown, control, asked, width = start[:2], f"{start[:2]}01", int(start[2:]), 2
    elif pieces[-2:] == (start[2], start[3]):  # single digits: asked for is the tens digit
        shown, control, asked, width = start[:2], f"{start[:2]}01", int(start[2]), 1
    elif pieces[-1] == start[3]:  # three and one: asked for is the units digit
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
    """The years with those answers that are one token after what the prompt shows; at least two on either side."""
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
    """Whether something lasted from a year (in a negative: from one that ends in 01 or 0), the end year is shown as far
    as a tokenizer may ask for the rest, and later digits are expected against earlier ones."""
    found = filled_in(example.prompt, TEMPLATES, {"event": EVENTS})
    if found is None:
        return False
    start, end = found["start"], found["end"]
    digits = example.expected + example.foils
    width = len(digits[0]) if digits else 0
    told = all(text.isascii() and text.isdecimal() and len(text) == width for text in digits)
    shown = {1: (2, 3), 2: (2,)}.get(width, ())
    if not (told and len(start) == 4 and start.isdecimal() and len(end) in shown and start.startswith(end)):
        return False
    later, earlier = [int(text) for text in example.expected], [int(text) for text in example.foils]
    if later != sorted({*later}) or earlier != sorted({*earlier}) or min(len(later), len(earlier)) < 2:
        return False
    if int(start[:2]) not in CENTURIES:
        return False
    if not example.positive:
        # The digit that was asked for stands between both sets; the prompt does not show it.
        return start[2:] == ("01" if len(end) == 2 else f"{start[2]}0") and earlier[-1] < later[0]
    asked = int(start[2:]) if width == 2 else int(start[len(end)])
    # Of two digits the same year is too early; a single equal digit leaves it open, and is in neither set.
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
