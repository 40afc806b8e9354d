"""Test the values of axes: lists and ranges read exactly, errors that name the value and the way out."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.planning.option_table import OPTIONS
from engine.sweeps.axes import WORDS, axis_values, read_axis
from engine.sweeps.values import expand_range, plain_number, read_values, split_list


@given(st.integers(-1000, 1000), st.integers(0, 300), st.integers(1, 50))
def test_a_range_of_whole_numbers_is_pythons(first: int, length: int, step: int) -> None:
    last = first + length
    found = expand_range(f"{first}..{last}:{step}", axis="--x", whole=True)
    assert [int(value) for value in found] == list(range(first, last + 1, step))


@given(st.decimals("0", "10", places=3), st.integers(0, 50), st.decimals("0.001", "1", places=3))
def test_a_range_of_fractions_is_exact(first: Decimal, n: int, step: Decimal) -> None:
    found = expand_range(f"{first}..{first + n * step}:{step}", axis="--x", whole=False)
    assert len(found) == n + 1
    assert Decimal(found[-1]) == first + n * step
    assert all("E" not in value.upper() for value in found)


@given(st.lists(st.text("abcxyz0123456789.-", min_size=1, max_size=6), min_size=1, max_size=8, unique=True))
def test_a_list_is_split_at_commas(parts: list[str]) -> None:
    assert split_list(" , ".join(parts), axis="--x") == tuple(parts)


def test_lists_may_hold_ranges() -> None:
    found = read_values("0..3,8,10..14:2", axis="--x", whole=True, numbers=True)
    assert found == ("0", "1", "2", "3", "8", "10", "12", "14")
    assert plain_number(Decimal("1E+3")) == "1000"


@pytest.mark.parametrize(
    ("word", "text", "said"),
    [
        ("seeds", "0..x", "'x' is not a number"),
        ("seeds", "0..1.5", "'1.5' is not a whole number"),
        ("seeds", "9..0", "last value is below the first"),
        ("lambda", "0..1:0", "step '0' is not above 0"),
        ("lambda", "0..1e9:.001", "are the maximum"),
        ("lambda", ".25,,.5", "empty value"),
        ("lambda", ".25,.25", "'.25' twice"),
        ("seeds", "0..3,2", "'2,' twice|'2' twice"),
        ("draws", "0", "at least one draw"),
        ("draws", "a,b", "'a' is not a draw"),
        ("task", "", "no value"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_way_out(word: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as found:
        read_axis(word, text, shown=f"--{word}")
    assert f"--{word}" in found.value.message
    assert found.value.hint


def test_one_number_of_seeds_is_a_count_and_a_list_or_range_single_seeds() -> None:
    assert read_axis("seeds", "3", shown="--seeds") == ("3",)
    assert read_axis("seeds", "0..2", shown="--seeds") == ("0,", "1,", "2,")
    assert read_axis("seeds", "4,8", shown="--seeds") == ("4,", "8,")
    assert axis_values("seeds", ["4", "0,1,2"], shown="seeds") == ("4,", "0,1,2")
    assert read_axis("draws", "3", shown="--draws") == ("0", "1", "2")
    assert axis_values("draws", ["5..6"], shown="draws") == ("5", "6")


def test_every_option_of_a_run_is_an_axis() -> None:
    own = {"task", "examples", "model", "checkpoint", "draws"}
    assert set(WORDS) == own | {option.flag.partition("/")[0].removeprefix("--") for option in OPTIONS}
    assert read_axis("max-memory", "0=20GiB,cpu=60GiB", shown="--max-memory") == ("0=20GiB,cpu=60GiB",)
