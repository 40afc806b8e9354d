"""Lines that are being written: read where they can be, kept as text where not, expanded, tabled."""

import itertools
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.authoring.csv_format import read_csv, write_csv
from engine.authoring.drafts import flaw, parse_draft, parse_pasted, preview_slots, renumber_pairs, text_of
from engine.authoring.templates import count, expand
from engine.authoring.text_format import read_examples, write_line
from engine.errors import ExampleError
from engine.examples import Example, write_jsonl

# The signs themselves stand for line breaks, tabs and outer spaces; a surrogate is no text.
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="⏎⇥␍␣"), max_size=24)
PROMPT = TEXT.filter(lambda text: bool(text.strip()))
ANSWERS = st.lists(TEXT.filter(lambda text: bool(text) and "=>" not in text), max_size=3).map(tuple)


def examples(pairs: st.SearchStrategy[int | None]) -> st.SearchStrategy[Example]:
    sides = st.sampled_from(("positive", "negative"))
    return st.builds(Example, prompt=PROMPT, polarity=sides, expected=ANSWERS, foils=ANSWERS, pair=pairs)


@given(examples(st.none() | st.integers(0, 10**9 - 1)))
def test_a_line_is_the_example_to_the_letter(example: Example) -> None:
    assert parse_draft(write_line(example)) == example


@given(examples(st.none() | st.integers(-9, 9)), st.booleans())
def test_editing_a_line_without_a_change_changes_nothing(example: Example, enabled: bool) -> None:
    example = msgspec.structs.replace(example, enabled=enabled)
    if not flaw(example):
        assert parse_draft(text_of(example), like=example) == example


@given(TEXT.filter(lambda text: bool(text.strip())))
def test_no_line_is_lost(line: str) -> None:
    found = parse_draft(line)
    if flaw(found):
        assert found.prompt == line.strip()
        assert not found.enabled
        assert text_of(found) == line.strip()
    else:
        assert parse_draft(text_of(found)) == found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('+ a => "x', "not closed"),
        ("- => y", "prompt is empty"),
        ("+ a =>", "There is no expected answer"),
        ("+ a => b |", "There is no foil"),
        ("+ a => b | c | d", "More than one |"),
        ('+ a => "b" c', "follows a quoted answer"),
        ('{"prompt": 3, "polarity": "positive"}', "Expected `str`"),
        ('{"prompt": "a"}', "polarity"),
        ("+", "prompt is empty"),
    ],
)
def test_a_line_that_cannot_be_read_says_why_and_can_be_mended(line: str, words: str) -> None:
    kept = parse_draft(line)
    assert words in flaw(kept)
    assert text_of(kept) == line
    assert flaw(parse_draft("+ mended => x", like=kept)) == ""
    assert parse_draft("+ mended => x", like=kept).enabled


def test_a_disabled_example_is_no_flawed_line() -> None:
    assert flaw(Example(prompt="a plain prompt", polarity="positive", enabled=False)) == ""
    assert flaw(Example(prompt='+ a => "x', polarity="positive", enabled=True)) == ""


def test_pasted_lines_become_examples_whatever_they_are() -> None:
    text = '# a remark\n+1 a => b\r\n-1 c => b\n\nno sign => d\n+ bad => "\n'
    found = parse_pasted(text)
    assert [(each.prompt, each.polarity, each.pair, each.enabled) for each in found] == [
        ("a", "positive", 1, True),
        ("c", "negative", 1, True),
        ("no sign", "positive", None, True),
        ('+ bad => "', "positive", None, False),
    ]
    assert parse_pasted('{"prompt": "a", "polarity": "negative"}\n{"oops"\n')[0].polarity == "negative"
    assert flaw(parse_pasted('{"prompt": "a", "polarity": "negative"}\n{"oops"\n')[1])
    assert parse_pasted("prompt,polarity\na,+\n")[0].prompt == "a"


def test_pasted_pairs_get_numbers_of_their_own() -> None:
    there = (Example(prompt="x", polarity="positive", pair=1), Example(prompt="y", polarity="positive", pair=7))
    found = parse_pasted("+1 a\n-1 b\n+2 c\n-2 d", after=there)
    assert [each.pair for each in found] == [8, 8, 2, 2]
    assert renumber_pairs(there, ()) == there


def test_enormous_text_does_no_harm() -> None:
    assert flaw(parse_pasted("x" * 300_000)[0])
    assert len(parse_pasted("x" * 100_000)[0].prompt) == 100_000


# ---- slots


def test_slots_take_each_word_and_agree_within_a_pair() -> None:
    lines = [
        "{who} = Mary, John, Ann",
        "+1 {who#1} and {who#2} met; {who#1} spoke to => {who#2} | {who#1}",
        "-1 {who#1} and {who#2} met; {who#3} spoke to => {who#2} | {who#1}",
        "+ {thing=a ball,a book} of {who}",
        "+ def f({x}): {'a': 1}",
    ]
    found = parse_pasted("\n".join(lines))
    assert len(found) == count(lines[1:], {"who": ("Mary", "John", "Ann")}) == 6 * 2 + 6 + 1
    assert found[0].prompt == "Mary and John met; Mary spoke to"
    assert found[1].prompt == "Mary and John met; Ann spoke to"
    pairs = [each.pair for each in found[:12]]
    assert [pairs.count(pair) for pair in pairs] == [2] * 12
    assert found[12].prompt == "a ball of Mary"
    assert found[-1].prompt == "def f({x}): {'a': 1}"


_LISTS = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4), max_size=3
)
_LINES = st.lists(
    st.lists(st.sampled_from(["{a}", "{b#1}", "{b#2}", "{c}", "word", "{d}"]), min_size=1, max_size=4).map(" ".join),
    max_size=4,
)


@given(_LINES, _LISTS)
def test_as_many_lines_as_were_counted_all_different(lines: list[str], lists: dict[str, list[str]]) -> None:
    known = {name: tuple(dict.fromkeys(words)) for name, words in lists.items()}
    found = expand(lines, known)
    assert len(found) == count(lines, known)
    for line in dict.fromkeys(lines):
        made = [each for one in (expand([line], known),) for each in one]
        assert len(set(made)) == len(made)
        assert all("{d}" in each for each in made) == ("{d}" in line or not made)


_PAIRED = st.lists(st.sampled_from(["{a#1}", "{a#2}", "{a#3}", "{b}", "word"]), min_size=1, max_size=4).map(" ".join)


@given(_PAIRED, _PAIRED, st.integers(1, 6), st.integers(1, 3))
def test_filling_makes_no_copy_and_only_whole_pairs(positive: str, negative: str, n_a: int, n_b: int) -> None:
    known = {"a": tuple("uvwxyz"[:n_a]), "b": tuple("mno"[:n_b])}
    lines = [f"+1 {positive} => x", f"-1 {negative} => x"]
    found = [parse_draft(line) for line in expand(lines, known)]
    assert len({(each.prompt, each.polarity) for each in found}) == len(found) == count(lines, known)
    sides: dict[int | None, list[str]] = {}
    for each in found:
        sides.setdefault(each.pair, []).append(each.polarity)
    assert all(both == ["positive", "negative"] for both in sides.values())


def test_every_prompt_that_a_pair_can_have_is_made_once() -> None:
    """Of four names, 24 ways choose three, but only 12 make another positive."""
    lines = [
        "{who} = Mary, John, Ann, Bob",
        "+1 {who#1} and {who#2} met; {who#1} spoke to => {who#2} | {who#1}",
        "-1 {who#1} and {who#2} met; {who#3} spoke to => {who#2} | {who#1}",
    ]
    found = parse_pasted("\n".join(lines))
    names = ("Mary", "John", "Ann", "Bob")
    positives = {each.prompt for each in found if each.positive}
    assert positives == {f"{a} and {b} met; {a} spoke to" for a, b in itertools.permutations(names, 2)}
    assert len(found) == 24
    thirds = {each.prompt.split("met; ")[1].split()[0] for each in found if not each.positive}
    assert thirds == set(names), "the negatives go round the names"
    output = preview_slots("\n".join(lines))
    assert output is not None
    assert output.words == "2 lines with slots expand to 24 examples (48 with repeats)"
    output = preview_slots("+1 {a=b,c} x\n-1 fixed")
    assert output is not None
    assert output.words == "1 line with slots expands to 2 examples (4 with repeats)"


def test_what_is_there_already_is_not_made_again() -> None:
    there = parse_pasted("+ Mary met => x\n- John met => x")
    new = parse_pasted("+ {who=Mary,John} met => y", after=there)
    assert [each.prompt for each in new] == ["John met"]
    output = preview_slots("+ {who=Mary,John} met => y", after=there)
    assert output is not None
    assert output.words == "1 line with slots expands to 1 example (2 with repeats)"


def test_too_many_are_refused_with_their_number() -> None:
    words = ",".join(f"w{number}" for number in range(100))
    with pytest.raises(ExampleError, match=str(math.perm(100, 3))):
        expand([f"+ {{w={words}}} {{w#1}} {{w#2}}"])


# ---- tables


@given(st.lists(examples(st.none() | st.integers(-9, 9)), max_size=4), st.booleans())
def test_a_table_reads_back(written: list[Example], enabled: bool) -> None:
    plain = [
        msgspec.structs.replace(
            each,
            enabled=enabled,
            expected=tuple(text.replace("\n", " ") for text in each.expected),
            foils=tuple(text.replace("\n", " ") for text in each.foils),
        )
        for each in written
    ]
    assert list(read_csv(write_csv(plain))) == plain
    if plain:
        assert list(read_examples(write_csv(plain))) == plain
        assert list(read_examples(write_jsonl(plain))) == plain


@pytest.mark.parametrize("sign", [";", "\t", ","])
def test_a_table_of_a_spreadsheet_is_read_whatever_parts_its_cells(sign: str) -> None:
    rows = [("Polarity", '"prompt"', "expected"), ("+", f'"one{sign} two, and {sign}"', "a"), ("-", "three", '"b"')]
    text = "\ufeff" + "\r\n".join(sign.join(row) for row in rows)
    expected = (
        Example(prompt=f"one{sign} two, and {sign}", polarity="positive", expected=("a",)),
        Example(prompt="three", polarity="negative", expected=("b",)),
    )
    assert read_examples(text) == read_csv(text) == parse_pasted(text) == expected


def test_a_file_that_is_called_a_table_is_told_what_its_first_line_lacks() -> None:
    with pytest.raises(ExampleError, match=r"mine\.csv, line 1: there is no column 'prompt'"):
        read_examples("text;label\na;+\n", source="mine.csv")
    assert read_examples("# mine\n+ a => b", source="mine.csv")[0].expected == ("b",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prompt,polarity\na,sideways\n", "line 2: polarity 'sideways'"),
        ("prompt,expected\na,b\n", "no column 'polarity'"),
        ("prompt,polarity\na,+,more\n", "3 cells under 2"),
        ('prompt,polarity\n"a,+\n', "line 2"),
        ("prompt,polarity\n,+\n", "prompt is empty"),
    ],
)
def test_a_crooked_table_is_refused_by_line(text: str, words: str) -> None:
    with pytest.raises(ExampleError, match=words):
        read_csv(text)


SLOTTED = """# names
{who} = Mary, John, Ann
+1 {who#1} and {who#2} met; {who#1} spoke to => {who#2} | {who#1}
-1 {who#1} and {who#2} met; {who#3} spoke to => {who#2} | {who#1}
+ one more => a | b
"""


def test_what_slots_come_to_is_known_before_they_are_filled() -> None:
    found = preview_slots(SLOTTED)
    assert found is not None
    assert (found.lines, found.examples) == (2, 12)
    assert found.words == "2 lines with slots expand to 12 examples"
    assert len(parse_pasted(SLOTTED)) == found.examples + 1
    assert preview_slots("+ one => a\n- {two} => b") is None
    assert preview_slots('{"prompt": "{a=b,c}", "label": "positive"}') is None
    assert preview_slots("prompt,label\n{a=b;c},positive\n") is None
    huge = preview_slots("+ {a=1,2,3,4,5,6,7,8,9} {a#2} {a#3} {a#4} {a#5} {a#6} {a#7} => x")
    assert huge is not None
    assert huge.examples > 100_000  # said, and refused by `drafts`


def test_slots_may_be_kept_as_they_are() -> None:
    kept = parse_pasted(SLOTTED, fill=False)
    assert not any(flaw(each) for each in kept)
    assert kept[0].prompt == "{who#1=Mary,John,Ann} and {who#2} met; {who#1} spoke to"
    assert len(kept) == 3
    assert len(parse_pasted("\n".join(text_of(each) for each in kept))) == 13
