"""Compare variations of existing pairs with substitutions made by hand."""

import random
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.authoring.distinct_pairs import missing_pairs, text_keys
from engine.authoring.drafts import parse_draft, parse_pasted
from engine.authoring.text_format import write_line
from engine.authoring.variations import is_usable, single_words, sources, trials, usable_variations, variations
from engine.authoring.word_substitution import substitutions
from engine.catalog.local_models import bundled_folder
from engine.config import LoadOptions
from engine.errors import ExampleError
from engine.examples import Example
from engine.grading.grader import Grader
from engine.models.warm_model import WarmModel
from engine.protocol import GradePrompts, GradesMade
from engine.references.ground_truth import known_truths
from engine.results import Grade, Verdict
from engine.tasks.registry import TASKS
from engine.tasks.words import FEMALE, MALE
from engine.worker.__main__ import SilentMonitor


class First(random.Random):
    """Takes what comes first."""

    def choice(self, seq: Any) -> Any:
        return seq[0]

    def randrange(self, start: int, *_: Any) -> int:
        return start


def two_digits(low: int, high: int) -> str:
    return ", ".join(f"{number:02}" for number in range(low, high))


BY_HAND = {
    # Of women's names Mary stands first, then Sarah; of men's John, James, Robert; "ring" is not the first object.
    "indirect objects": (
        "+1 When Mary and John went to the store, John gave a ring to => Mary | John\n"
        "-1 When Mary and John went to the store, Adam gave a ring to => Mary | John",
        "+ When Sarah and James went to the garden, James gave a book to => Sarah | James\n"
        "- When Sarah and James went to the garden, Robert gave a book to => Sarah | James",
    ),
    # Arguments: "path" and "name" are there already, so "value", "data", "index", "mode", "text", "line" are next.
    "docstring": (
        '+1 def load(self, path, size, name):⏎    """river⏎    :param path: lamp cloud⏎    :param => size | name\n'
        '-1 def load(self, files, count, order):⏎    """river⏎    :param path: lamp cloud⏎    :param => size | name',
        '+ def save(self, value, data, index):⏎    """stone⏎    :param value: book apple⏎    :param => data | index\n'
        '- def save(self, mode, text, line):⏎    """stone⏎    :param value: book apple⏎    :param => data | index',
    ),
    "pronouns": (
        "+1 So Emma is a really great doctor, isn't => she | he\n"
        "-1 So someone is a really great doctor, isn't => she | he",
        "+ So Mary is a really great friend, isn't => she | he\n"
        "- So everyone is a really great friend, isn't => she | he",
    ),
    # All words of a series move alike: by one month; digits by as little as leaves all of them above 0.
    "months": (
        "+1 Months: October November December => January | May\n-1 Months: March October July => January | May",
        "+ Months: November December January => February | June\n- Months: April November August => February | June",
    ),
    "digits": (
        "+1 3 4 5 => 6 | 1, 2, 3, 4, 5, 7, 8, 9\n-1 5 8 4 => 6 | 1, 2, 3, 4, 5, 7, 8, 9",
        "+ 1 2 3 => 4 | 1, 2, 3, 5, 6, 7, 8, 9\n- 3 6 2 => 4 | 1, 2, 3, 5, 6, 7, 8, 9",
    ),
    "number words": (
        "+1 two three four => five | four\n-1 nine three seven => five | four",
        "+ one two three => four | three\n- eight two six => four | three",
    ),
    # The range above the year and the foils up to it are those of the new year; the control year stays.
    "greater than": (
        f"+1 The war lasted from the year 1732 to the year 17 => {two_digits(33, 100)} | {two_digits(0, 33)}\n"
        f"-1 The war lasted from the year 1701 to the year 17 => {two_digits(33, 100)} | {two_digits(0, 33)}",
        f"+ The siege lasted from the year 1710 to the year 17 => {two_digits(11, 100)} | {two_digits(0, 11)}\n"
        f"- The siege lasted from the year 1701 to the year 17 => {two_digits(11, 100)} | {two_digits(0, 11)}",
    ),
    # A range with another rule than "above" keeps its numbers.
    "a range of its own": (
        "+1 The war of 1732 ended in 17 => 33, 34 | 90, 91\n-1 The war of 1701 ended in 17 => 33, 34 | 90, 91",
        "+ The siege of 1732 ended in 17 => 33, 34 | 90, 91\n- The siege of 1701 ended in 17 => 33, 34 | 90, 91",
    ),
    "capitals": (
        "+1 The capital of France is => Paris | Rome\n-1 The flag of Italy is => Paris | Rome",
        "+ The capital of Spain is => Madrid | Berlin\n- The river of Germany is => Madrid | Berlin",
    ),
    "letters and articles": (
        "+1 An apple and Mary's DOG. The dog saw an orange => dog\n"
        "-1 An apple and Mary's DOG. The cow saw an orange => dog",
        "+ An engine and Sarah's CAT. The cat saw an orange => cat\n"
        "- An engine and Sarah's CAT. The horse saw an orange => cat",
    ),
    # Years keep their century and distance: 1914 comes down to 1900.
    "years": (
        "+1 From 1914 to 1918, from 1914 to => 1918 | 1914\n-1 From 1914 to 1918, from 1939 to => 1918 | 1914",
        "+ From 1900 to 1904, from 1900 to => 1904 | 1900\n- From 1900 to 1904, from 1925 to => 1904 | 1900",
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_words_are_exchanged_as_by_hand(name: str) -> None:
    given_, wanted = BY_HAND[name]
    (source,) = sources(parse_pasted(given_))
    drawn = next(substitutions(source, First(), ()))
    assert [write_line(drawn.apply(each)) for each in source] == [
        write_line(parse_draft(line)) for line in wanted.split("\n")
    ]


@pytest.mark.parametrize("line", ["2 + 3 = => 5", "qwe rty 3.14 x2 => b", "No one said => so", "At 12345 and 99 => b"])
def test_what_belongs_to_no_class_stays(line: str) -> None:
    examples = (parse_draft(f"+1 {line}"), parse_draft(f"-1 Not {line}"))
    assert list(variations(sources(examples), examples)) == []
    assert list(substitutions(examples, First(), ())) == []


def test_words_that_are_one_token_are_drawn_as_long_as_there_are_some() -> None:
    source = sources(parse_pasted("+1 Mary met John => Mary\n-1 Mary met Paul => Mary"))[0]
    drawn = list(islice(substitutions(source, random.Random(0), {"Ruth", "Dave"}), 20))
    new = [each.apply(source[1]).prompt for each in drawn]
    # Of men two are wanted and only one is a single token.
    assert all(prompt.startswith("Ruth met ") for prompt in new)
    assert all("Dave" in {each.words["John"], each.words["Paul"]} for each in drawn)


SET = """+1 When Mary and John went to the store, John gave a ring to => Mary | John
-1 When Mary and John went to the store, Adam gave a ring to => Mary | John
+2 Then Sarah and Mark met. Sarah gave a ball to => Mark | Sarah
-2 Then Sarah and Mark met. Emma gave a ball to => Mark | Sarah
"""


def test_no_prompt_comes_twice_and_names_keep_their_gender() -> None:
    examples = parse_pasted(SET)
    found = list(islice(variations(sources(examples), examples), 200))
    assert [each.source for each in found[:4]] == [0, 1, 0, 1]
    prompts = [example.prompt for each in found for example in each.examples]
    assert len(prompts) == 400
    assert len({*prompts, *(each.prompt for each in examples)}) == 404
    for each in found:
        positive, negative = each.examples
        assert (positive.expected, positive.foils) == (negative.expected, negative.foils)
        words = positive.prompt.replace(",", "").replace(".", "").split()
        (she, he) = (words[1], words[3])
        assert (she in FEMALE, he in MALE) == (True, True)
        answers = (positive.expected[0].strip(), positive.foils[0].strip())
        assert answers == ((she, he) if each.source == 0 else (he, she))
    assert [each.examples for each in islice(variations(sources(examples), examples), 200)] == [
        each.examples for each in found
    ], "the same for the same examples"
    further = islice(variations(sources(examples), [*examples, *(e for each in found for e in each.examples)]), 50)
    assert not {e.prompt for each in further for e in each.examples} & set(prompts)


def test_pairs_come_before_examples_without_a_partner_and_templates_make_none() -> None:
    alone = parse_pasted("+ Mary ran => so\n- John ran => so\n+ {name=Ann,Eva} ran => so", fill=False)
    assert [len(source) for source in sources(alone)] == [1, 1]
    assert [len(source) for source in sources((*parse_pasted(SET), *alone))] == [2, 2]
    made = [each.examples[0] for each in islice(variations(sources(alone), alone), 4)]
    assert [each.polarity for each in made] == ["positive", "negative"] * 2
    assert all(len(both) == 2 for both in usable_variations([(each,) for each in made], 9))
    assert len(usable_variations([(each,) for each in made[:3]], 9)) == 1, "one positive is without a negative"
    with pytest.raises(ExampleError, match="no example yet"):
        sources(())


@given(st.text(max_size=60).filter(lambda text: bool(text.strip())), st.text(max_size=8))
def test_any_prompt_gives_pairs_that_are_examples(prompt: str, answer: str) -> None:
    answers = (answer,) if answer else ()
    pair = tuple(
        Example(prompt=text, polarity=side, expected=answers, pair=0)  # type: ignore[arg-type]
        for text, side in ((prompt, "positive"), (f"Mary {prompt} 3", "negative"))
    )
    for each in islice(variations([pair], pair), 5):
        assert len({example.prompt for example in (*each.examples, *pair)}) == 4


@pytest.mark.parametrize("prompt", ["Mary and John " * 1_400, "a" * 19_999, "1 " * 9_000, "def f(" * 3_000])
def test_a_long_prompt_is_varied_quickly(prompt: str) -> None:
    examples = (parse_draft(f"+1 {prompt} => so"), parse_draft(f"-1 Emma {prompt} => so"))
    begun = time.process_time()
    list(islice(variations(sources(examples), examples), 3))
    assert time.process_time() - begun < 60  # a tenth of a second; quadratic patterns take minutes


# ---- what the model makes of them


def graded(verdict: Verdict, n_tokens: int = 5) -> Grade:
    return Grade(index=0, verdict=verdict, reason="", n_tokens=n_tokens)


@pytest.mark.parametrize(
    ("positive", "negative", "kept"),
    [
        (graded("ok"), graded("ok"), True),
        (graded("ok"), graded("weak"), True),
        (graded("weak"), graded("ok"), False),
        (graded("ok"), graded("broken"), False),
        (graded("ok"), graded("ok", 6), False),
        (graded("ungraded"), graded("ok"), False),
    ],
)
def test_a_pair_is_kept_where_the_model_can_do_it(positive: Grade, negative: Grade, kept: bool) -> None:
    source = sources(parse_pasted(SET))[0]
    assert is_usable(source, (graded("ok"), graded("ok")), (positive, negative)) is kept
    # Where the pair it is made of has unequal sides, it may have, too.
    uneven = (graded("ok"), graded("ok", 4))
    assert is_usable(source, uneven, (positive, negative)) is (kept or negative.n_tokens == 6)
    without = tuple(Example(prompt=each.prompt, polarity=each.polarity) for each in source)
    assert is_usable(without, uneven, (graded("ungraded"), graded("ungraded")))


@pytest.fixture
def grade(warm_model: WarmModel) -> Callable[..., GradesMade]:
    """Has the bundled model grade examples."""
    warm_model.take("toy", Path(), LoadOptions(device="cpu"))
    grader = Grader(warm_model)

    def ask(examples: Sequence[Example]) -> GradesMade:
        request = GradePrompts(job="g", model="toy", examples=tuple(examples), models=str(Path()), device="cpu")
        return grader.answer(request, SilentMonitor())

    return ask


def test_the_model_says_which_words_are_one_token(warm_model: WarmModel, grade: Any) -> None:
    toy, _ = warm_model.take("toy", Path(), LoadOptions(device="cpu"))
    made_of = sources(parse_pasted(SET))
    tokens = grade(trials(made_of)).tokens
    found = single_words(tokens)
    names = {name for name in (*FEMALE, *MALE) if len(toy.pieces(f" {name}")) == 1}
    assert names
    assert {word for word in found if word in (*FEMALE, *MALE)} == names
    assert len(names) < len({*FEMALE, *MALE}), "the tokenizer splits some"


@pytest.mark.parametrize("task", sorted(known_truths("toy", bundled_folder()).truths))
def test_the_bundled_model_can_do_many_variations_of_its_tasks(warm_model: WarmModel, grade: Any, task: str) -> None:
    toy, _ = warm_model.take("toy", Path(), LoadOptions(device="cpu"))
    examples = TASKS[task].make(toy, pairs=6)
    made_of = sources(examples)
    own = grade(examples).grades
    single = single_words(grade(trials(made_of)).tokens)
    found = list(islice(variations(made_of, examples, single), 24))
    assert len(found) >= 11  # a series is short: there are fewer ways to move it
    held = []
    for each in found:
        both = grade(each.examples).grades
        if is_usable(made_of[each.source], own[2 * each.source : 2 * each.source + 2], both):
            held.append(each.examples)
            assert both[0].verdict == "ok"
            assert both[0].n_tokens == both[1].n_tokens
            assert both[1].verdict in ("ok", "weak")
    assert len(held) >= 5
    new = [
        Example(prompt=e.prompt, polarity=e.polarity, expected=e.expected, pair=100 + n)
        for n, both in enumerate(held)
        for e in both
    ]
    whole = [*examples, *new]
    before = missing_pairs(examples, text_keys(examples), 10**12)
    assert missing_pairs(whole, text_keys(whole), 10**12) == before - len(held), "each counts as a pair of its own"
