"""Shortest prompts: nothing more can be left out, and repeated words that tell prompts apart stay."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.explaining.columns import TokenColumn
from engine.explaining.shortening import shorten


def same(tokens: Sequence[int]) -> tuple[TokenColumn, ...]:
    return tuple(TokenColumn(token, token) for token in tokens)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=14), st.data())
def test_a_shortest_prompt_has_all_that_is_needed_and_nothing_else(tokens: list[int], data: st.DataObject) -> None:
    needed = set(data.draw(st.lists(st.sampled_from(tokens), unique=True, min_size=1)))

    def margins(prompts: Sequence[tuple[TokenColumn, ...]]) -> list[float]:
        return [1.0 if needed <= {column.own for column in each} else -1.0 for each in prompts]

    short = shorten(same(tokens), margins)
    assert sorted(column.own for column in short.columns if column.own is not None) == sorted(needed)
    assert tuple(same(tokens)[place] for place in short.places) == short.columns


def test_columns_that_differ_are_tried_first() -> None:
    columns = (*same(range(100, 112)), TokenColumn(5, 5), *same(range(112, 120)), TokenColumn(5, 6))
    tried: list[int] = []

    def margins(prompts: Sequence[tuple[TokenColumn, ...]]) -> list[float]:
        tried.extend(map(len, prompts))
        return [1.0 if columns[-1] in each and columns[12] in each else -1.0 for each in prompts]

    assert shorten(columns, margins).columns == (TokenColumn(5, 5), TokenColumn(5, 6))
    assert max(tried) == 3  # the whole prompt was never needed


def test_what_is_not_allowed_to_go_stays() -> None:
    columns = (*same((1, 2, 3)), TokenColumn(5, 5), TokenColumn(5, 6))

    def margins(prompts: Sequence[tuple[TokenColumn, ...]]) -> list[float]:
        return [1.0 if columns[-1] in each else -1.0 for each in prompts]

    def allowed(_: tuple[TokenColumn, ...], after: tuple[TokenColumn, ...]) -> bool:
        return columns[3] in after

    assert shorten(columns, margins).columns == (columns[-1],)
    assert shorten(columns, margins, allowed).columns == columns[3:]
