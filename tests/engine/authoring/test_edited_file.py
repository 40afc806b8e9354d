"""The examples as a file for a text editor: what is not changed comes back as it was, and a bad line is named."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.authoring.drafts import parse_draft
from engine.authoring.edited_file import BadLine, mark_line, read_edited, write_edited
from engine.examples import MAX_EXAMPLES, Example

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)
EXAMPLES = st.builds(
    Example,
    prompt=TEXT,
    polarity=st.sampled_from(["positive", "negative"]),
    expected=st.lists(TEXT, max_size=2).map(tuple),
    pair=st.none() | st.integers(-3, 99),
    enabled=st.booleans(),
)
TWO = (
    Example(prompt="One plus one is", polarity="positive", expected=("two",), foils=("six",), pair=1),
    Example(prompt="One plus five is", polarity="negative", expected=("two",), foils=("six",), pair=1),
)


@given(st.lists(EXAMPLES, max_size=12).map(tuple))
def test_what_is_not_changed_comes_back_as_it_was(examples: tuple[Example, ...]) -> None:
    """Also what a line does not say: named pairs, lines left out, twice the same line."""
    found = read_edited(write_edited(examples), examples)
    assert sorted(found, key=msgspec.json.encode) == sorted(examples, key=msgspec.json.encode)


def test_lines_are_changed_added_moved_and_removed() -> None:
    off = msgspec.structs.replace(TWO[0], enabled=False)
    text = write_edited((off, TWO[1]))
    assert "left out of runs" in text
    changed = text.replace("One plus five", "Two plus five") + "\r\n+2 Two plus two is => four\n\n# a remark\n"
    assert read_edited(changed, (off, TWO[1])) == (
        off,
        msgspec.structs.replace(TWO[1], prompt="Two plus five is"),
        Example(prompt="Two plus two is", polarity="positive", expected=("four",), pair=2),
    )
    assert read_edited("\n".join(text.splitlines()[::-1]), (off, TWO[1])) == (TWO[1], off)
    assert read_edited("# nothing\n", TWO) == ()


def test_a_line_that_was_invalid_before_stays_as_it_was() -> None:
    draft = parse_draft("+ half a line =>")
    text = write_edited((*TWO, draft))
    assert read_edited(text, (*TWO, draft)) == (*TWO, draft)
    with pytest.raises(BadLine, match=r"Line 5: There is no expected answer after =>\.") as bad:
        read_edited(text, TWO)
    assert bad.value.number == 5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no sign => here", "begins with 'no sign => h'"),
        ("+1 a => b | ", "no foil after"),
        ("+ a => b | c | d", "More than one |"),
        ("{name} = Mary, John", "Word lists"),
    ],
)
def test_a_bad_line_is_named_and_marked_in_the_file(line: str, words: str) -> None:
    text = write_edited(TWO) + line + "\n"
    with pytest.raises(BadLine) as bad:
        read_edited(text, TWO)
    assert bad.value.number == 5
    assert words in bad.value.message
    marked = mark_line(text, bad.value.number, bad.value.message)
    assert marked.splitlines()[4].startswith(f"#! Line 5: {bad.value.message[8:20]}")
    assert marked.splitlines()[5] == line
    assert mark_line(marked, 5, bad.value.message) == marked  # it does not pile up
    with pytest.raises(BadLine) as again:
        read_edited(marked, TWO)
    assert again.value.number == 5
    assert read_edited(marked.replace(line, "- good => line"), TWO)[-1].prompt == "good"


def test_a_file_with_too_many_examples_is_refused() -> None:
    with pytest.raises(BadLine, match=f"More than {MAX_EXAMPLES} examples"):
        read_edited("+ x\n" * (MAX_EXAMPLES + 1), ())
