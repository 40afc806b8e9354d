"""Ready-made tasks: what holds for every pair, on a tokenizer that splits digits and on the bundled one."""

import itertools
import random
import re

import pytest

from engine.catalog.local_models import bundled_folder
from engine.errors import TaskError
from engine.examples import Example, check_set
from engine.tasks.base import PairDraft, Splitter, collect
from engine.tasks.facts import CAPITALS
from engine.tasks.greater_than import usable_years
from engine.tasks.registry import TASKS, find_task


class Rules:
    """A splitter by one pattern: what it finds are the tokens."""

    def __init__(self, pattern: str) -> None:
        self.pattern = re.compile(pattern, re.DOTALL)

    def pieces(self, text: str) -> tuple[str, ...]:
        pieces = tuple(self.pattern.findall(text))
        assert "".join(pieces) == text
        return pieces


DIGITS = Rules(r" ?[A-Za-z]+|\d| ?[^\sA-Za-z\d]|\s")
"""As Llama and SmolLM2 do it: every digit alone, without its space."""
PAIRS = Rules(r" ?[A-Za-z]+| ?\d{1,2}| ?[^\sA-Za-z\d]|\s")
"""As GPT-2 does it with most years."""
TRIPLES = Rules(r" ?[A-Za-z]+|\d{1,3}| ?[^\sA-Za-z\d]|\s")
"""As Llama 3 does it."""
LETTERS = Rules(r".")
"""As a byte-level model does it: no word is one token."""


class Bundled:
    """The bundled model's tokenizer, without the model."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(bundled_folder() / "tokenizer.json"))

    def pieces(self, text: str) -> tuple[str, ...]:
        return tuple(self.tokenizer.decode([token]) for token in self.tokenizer.encode(text).ids)


@pytest.fixture(scope="module", params=["digits", "pairs", "triples", "bundled"])
def splitter(request: pytest.FixtureRequest) -> Splitter:
    known: dict[str, Splitter] = {"digits": DIGITS, "pairs": PAIRS, "triples": TRIPLES}
    return known.get(request.param) or Bundled()


def halves(examples: tuple[Example, ...]) -> list[tuple[Example, Example]]:
    """The pairs, positive first."""
    by_pair: dict[int, dict[str, Example]] = {}
    for example in examples:
        assert example.pair is not None
        by_pair.setdefault(example.pair, {})[example.polarity] = example
    return [(pair["positive"], pair["negative"]) for pair in by_pair.values()]


NOT_BUNDLED = ("facts", "identifier_swap")
"""Tasks whose words the bundled tokenizer does not have."""


def skip_unless_it_has_the_words(name: str, splitter: Splitter) -> None:
    if isinstance(splitter, Bundled) and name in NOT_BUNDLED:
        with pytest.raises(TaskError, match="has 0 of the"):
            TASKS[name].make(splitter, pairs=1)
        pytest.skip("refused in words")


@pytest.mark.parametrize("name", TASKS)
def test_pairs_can_be_compared_token_by_token(name: str, splitter: Splitter) -> None:
    skip_unless_it_has_the_words(name, splitter)
    examples = TASKS[name].make(splitter, pairs=12)
    pairs = halves(check_set(examples))
    assert len(pairs) == 12
    for positive, negative in pairs:
        before, other = splitter.pieces(positive.prompt), splitter.pieces(negative.prompt)
        assert len(before) == len(other)
        assert before != other
        assert before[-1] == other[-1] or name == "sequence_continuation"
        assert (positive.expected, positive.foils) == (negative.expected, negative.foils)
        assert positive.expected
        assert positive.foils
        assert not set(positive.expected) & set(positive.foils)
        for answer in (*positive.expected, *positive.foils):
            assert splitter.pieces(positive.prompt + answer) == (*before, answer)


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_makes_the_same_examples(name: str, splitter: Splitter) -> None:
    skip_unless_it_has_the_words(name, splitter)
    task = TASKS[name]
    assert task.make(splitter, pairs=5, seed=3) == task.make(splitter, pairs=5, seed=3)
    assert task.make(splitter, pairs=5, seed=3) != task.make(splitter, pairs=5, seed=4)


@pytest.mark.parametrize("name", TASKS)
def test_pairs_do_not_repeat(name: str) -> None:
    pairs = halves(TASKS[name].make(PAIRS, pairs=250))
    assert len({(positive.prompt, negative.prompt) for positive, negative in pairs}) == 250


@pytest.mark.parametrize("name", TASKS)
def test_a_tokenizer_without_the_words_is_told_what_it_lacks(name: str) -> None:
    if name == "greater_than":
        unsuited: Splitter = Rules(r" ?[A-Za-z]+| ?\d+| ?[^\sA-Za-z\d]|\s")  # years in one token
    elif name == "addition":
        unsuited = Rules(r".{4}|.")  # 37+4|8=85
    else:
        unsuited = LETTERS
    if name == "sequence_continuation":
        assert all(":" in example.prompt for example in TASKS[name].make(unsuited, pairs=2))  # digits still work
        unsuited = Rules(r"..|.")
    with pytest.raises(TaskError, match=name) as caught:
        TASKS[name].make(unsuited, pairs=2)
    assert "token" in caught.value.message
    assert caught.value.hint


def test_ioi_negative_names_a_third_person() -> None:
    for positive, negative in halves(TASKS["ioi"].make(PAIRS, pairs=30)):
        receiver, giver = positive.expected[0].strip(), positive.foils[0].strip()
        words, other = (re.findall(r"\w+", example.prompt) for example in (positive, negative))
        assert words.count(giver) == 2
        assert words.count(receiver) == 1
        assert other.count(giver) == 1
        assert other.count(receiver) == 1
        assert sum(a != b for a, b in zip(words, other, strict=True)) == 1


@pytest.mark.parametrize(("rules", "width"), [(PAIRS, 2), (DIGITS, 1), (TRIPLES, 1)])
def test_years_are_asked_for_as_the_tokenizer_splits_them(rules: Rules, width: int) -> None:
    years = usable_years(rules)
    assert years
    for year in years:
        asked = int(year.start[len(year.end) :][:width])
        assert all(len(answer) == width for answer in (*year.expected, *year.foils))
        assert all(int(answer) > asked for answer in year.expected)
        # The equal digit is neither right nor wrong: 1735 follows 1732. Equal two digits are the same year: wrong.
        assert all(int(answer) < asked or (width == 2 and int(answer) == asked) for answer in year.foils)
        assert len(year.expected) + len(year.foils) == (100 if width == 2 else 9)
        assert year.control.endswith("01" if len(year.end) == 2 else "0")


def test_docstring_negative_keeps_the_docstring_and_changes_the_whole_signature() -> None:
    for positive, negative in halves(TASKS["docstring"].make(PAIRS, pairs=20)):
        (signature, body), (other, same) = (example.prompt.split("\n", 1) for example in (positive, negative))
        assert body == same
        assert not set(re.findall(r"\w+", other)) & {text.strip() for text in (*positive.expected, *positive.foils)}
        names = re.findall(r"\w+", signature)[3:]
        documented = re.findall(r":param (\w+)", body)
        assert names[names.index(documented[-1]) + 1] == positive.expected[0].strip()


def test_induction_negative_never_showed_the_cue() -> None:
    for positive, negative in halves(TASKS["induction"].make(PAIRS, pairs=30)):
        words, other = positive.prompt.split()[1:], negative.prompt.split()[1:]
        assert words[words.index(words[-1]) + 1] == positive.expected[0].strip()
        assert words.count(words[-1]) == 2
        assert other.count(words[-1]) == 1


def test_a_series_counts_on_and_its_negative_does_not() -> None:
    for positive, negative in halves(TASKS["sequence_continuation"].make(PAIRS, pairs=60)):
        items = [text.strip() for text in (*positive.expected, *positive.foils)]
        shown, aimless = positive.prompt.split()[1:], negative.prompt.split()[1:]
        assert set(shown) <= set(items)
        assert len(set(aimless)) == len(aimless)
        if shown[0].isdigit():
            assert [int(text) for text in (*shown, positive.expected[0])] == [
                int(shown[0]) + n for n in range(len(shown) + 1)
            ]
            assert all(abs(int(a) - int(b)) > 1 for a, b in itertools.pairwise(aimless))


def test_llama_like_digits_are_asked_for_after_their_space() -> None:
    prompts = [e.prompt for e in TASKS["sequence_continuation"].make(DIGITS, pairs=40) if "Digits" in e.prompt]
    assert prompts
    assert all(prompt.endswith(" ") for prompt in prompts)


def test_published_circuits_are_the_authors_own() -> None:
    ((name, ioi),) = TASKS["ioi"].published
    assert name == "gpt2"
    assert len(ioi.heads) == 26
    assert (9, 0) in ioi.heads
    assert (11, 3) not in ioi.heads
    ((name, docstring),) = TASKS["docstring"].published
    assert name == "attn-only-4l"
    assert len(docstring.heads) == 6
    assert (1, 2) in docstring.heads
    assert (1, 0) not in docstring.heads
    ((name, years),) = TASKS["greater_than"].published
    assert name == "gpt2"
    assert len(years.heads) == 9


def test_a_task_is_found_by_name_and_a_slip_gets_a_suggestion() -> None:
    assert find_task("ioi") is TASKS["ioi"]
    with pytest.raises(TaskError, match="'greater-then'") as caught:
        find_task("greater-then")
    assert "Did you mean greater_than?" in caught.value.hint
    assert all(name in caught.value.hint for name in TASKS)


def test_no_pairs_is_refused() -> None:
    with pytest.raises(TaskError, match="0 pairs"):
        TASKS["ioi"].make(PAIRS, pairs=0)


def test_drafts_that_never_hold_end_in_an_error_not_in_a_loop() -> None:
    draft = PairDraft(positive="one", negative="one two", expected=(" three",), foils=())
    with pytest.raises(TaskError, match="0 of 3 pairs"):
        collect("task", PAIRS, 3, lambda: draft)


def test_tasks_do_not_touch_the_global_random_state() -> None:
    random.seed(7)
    before = random.getstate()
    TASKS["ioi"].make(PAIRS, pairs=3)
    assert random.getstate() == before


@pytest.mark.parametrize(("rules", "whole"), [(DIGITS, False), (PAIRS, True), (TRIPLES, True)])
def test_sums_are_asked_for_as_the_tokenizer_splits_them(rules: Rules, whole: bool) -> None:
    for positive, negative in halves(TASKS["addition"].make(rules, pairs=40)):
        (a, b), (same, other) = (map(int, example.prompt[:-1].split("+")) for example in (positive, negative))
        assert a == same
        assert b // 10 == other // 10
        assert a % 10 + b % 10 >= 10 > a % 10 + other % 10
        assert (a + b) // 10 == (a + other) // 10 + 1
        text = str(a + b) if whole else str(a + b)[0]
        assert positive.expected == (text,)
        assert int(positive.foils[0]) == int(text) - (10 if whole else 1)


def test_the_foil_of_a_sum_is_the_digit_that_the_negative_has() -> None:
    for _, negative in halves(TASKS["addition"].make(DIGITS, pairs=40)):
        a, b = map(int, negative.prompt[:-1].split("+"))
        assert negative.foils == (str(a + b)[0],)


def test_facts_negative_has_the_same_words_and_the_other_answer() -> None:
    for positive, negative in halves(TASKS["facts"].make(PAIRS, pairs=40)):
        words, other = set(re.findall(r"\w+", positive.prompt)), set(re.findall(r"\w+", negative.prompt))
        assert words == other
        (country,), (beside,) = (re.findall(r"capital of (\w+) is", each.prompt) for each in (positive, negative))
        assert positive.expected == (f" {CAPITALS[country]}",)
        assert positive.foils == (f" {CAPITALS[beside]}",)


def test_a_swapped_builtin_is_answered_by_the_others_name() -> None:
    for positive, negative in halves(TASKS["identifier_swap"].make(PAIRS, pairs=40)):
        results = []
        for example, answer in ((positive, positive.expected[0]), (negative, negative.foils[0])):
            function = re.findall(r"def (\w+)", example.prompt)[0]
            names: dict[str, object] = {}
            argument = re.findall(r"\((\w+)\)", example.prompt)[0]
            exec(f"{example.prompt}{answer}({argument})", names)  # what the answer completes does what it says
            results.append(names[function]([3, 1, 2, 2]))  # type: ignore[operator]
        assert results[0] == results[1]
