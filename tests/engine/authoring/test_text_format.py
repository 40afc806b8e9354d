"""Examples typed as lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.authoring.text_format import read_examples, read_lines, write_lines
from engine.errors import ExampleError
from engine.examples import Example


def test_a_line_has_polarity_pair_prompt_answers_and_foils() -> None:
    text = '+3 When A and B met => B, Bea | A\n\n# a remark\n-3 a => b is code => " x" | "a, b"\n'
    first, second = read_lines(text)
    assert first == Example(prompt="When A and B met", polarity="positive", expected=("B", "Bea"), foils=("A",), pair=3)
    assert second == Example(prompt="a => b is code", polarity="negative", expected=(" x",), foils=("a, b",), pair=3)


def test_a_number_after_a_space_belongs_to_the_prompt() -> None:
    assert read_lines("+ 3 is a number")[0].prompt == "3 is a number"


def test_windows_line_ends_and_a_mark_at_the_start_do_no_harm() -> None:
    assert [example.polarity for example in read_examples("\ufeff+ a => b\r\n- c => d\r\n")] == ["positive", "negative"]


def test_the_first_line_decides_the_format() -> None:
    assert read_examples('\n {"prompt": "a", "polarity": "positive"}')[0].prompt == "a"


# The signs stand for line breaks, tabs and outer spaces.
_WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="⏎⇥␍␣"), min_size=1, max_size=8
)
_ANSWER = _WORD.filter(lambda text: '"' not in text and "=>" not in text)


@given(
    st.lists(
        st.builds(
            Example,
            prompt=st.lists(_WORD, min_size=1, max_size=5).map(" ".join).filter(lambda text: "=>" not in text),
            polarity=st.sampled_from(["positive", "negative"]),
            expected=st.lists(_ANSWER, min_size=1, max_size=3).map(tuple),
            foils=st.lists(_ANSWER, max_size=3).map(tuple),
            pair=st.none() | st.integers(0, 10**8),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_reads_back(examples: list[Example]) -> None:
    assert list(read_lines(write_lines(tuple(examples)))) == examples


@pytest.mark.parametrize("text", ["+ a => b | c | d", '+ a => "b" c', "+a => b", "no sign"])
def test_crooked_lines_are_refused_by_number(text: str) -> None:
    from engine.errors import ExampleError

    with pytest.raises(ExampleError, match="input, line 2"):
        read_lines("+ fine => yes\n" + text)


@pytest.mark.parametrize(
    "line",
    ['{"more": ' + "[" * 100_000, '{"prompt": "a", "polarity": "positive", "pair": 9223372036854775808}'],
    ids=["nested", "pair"],
)
def test_lines_made_to_break_things_are_named(line: str) -> None:
    good = '{"prompt": "a", "polarity": "positive"}'
    with pytest.raises(ExampleError, match="line 2"):
        read_examples(f"{good}\n{line}\n", source="x")


TEMPLATE = """{who} = Mary, John
+1 {who#1} and {who#2} met; {who#1} spoke to => {who#2} | {who#1}
-1 {who#1} and {who#2} met; Ann spoke to => {who#2} | {who#1}
+ The {colour=red,blue} ball is => {colour}
"""


def test_the_slots_of_a_file_are_filled() -> None:
    found = read_examples(TEMPLATE)
    assert [(each.polarity[0], each.prompt, each.expected, each.pair) for each in found] == [
        ("p", "Mary and John met; Mary spoke to", ("John",), 1),
        ("n", "Mary and John met; Ann spoke to", ("John",), 1),
        ("p", "John and Mary met; John spoke to", ("Mary",), 2),
        ("n", "John and Mary met; Ann spoke to", ("Mary",), 2),
        ("p", "The red ball is", ("red",), None),
        ("p", "The blue ball is", ("blue",), None),
    ]


def test_a_bad_line_among_slots_is_named_as_it_was_written() -> None:
    with pytest.raises(ExampleError, match=r"mine, line 6: There is no expected answer after =>"):
        read_examples(TEMPLATE + "# a comment\n+ {who} =>", source="mine")


def test_braces_that_name_no_list_are_text() -> None:
    assert read_examples("+ def f(): return {a} => {b}")[0].prompt == "def f(): return {a}"
