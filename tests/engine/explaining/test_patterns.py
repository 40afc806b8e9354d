"""Patterns: where they are in a prompt, other words in them, and ties that tell prompts apart."""

from typing import Any

import pytest

from engine.capture.code_reader import TokenPair
from engine.explaining.columns import Columns, TokenColumn
from engine.explaining.patterns import Pattern, Slot
from engine.explaining.ties import Ties
from engine.explaining.words import Words
from engine.models.loading import Model

POSITIVE = "When Mary and John went to the park, John gave a book to"
NEGATIVE = "When Mary and John went to the park, Paul gave a book to"


@pytest.fixture
def columns(model: Model) -> Any:
    """Columns of a prompt beside its pair."""

    def of(own: str, other: str) -> tuple[TokenColumn, ...]:
        pair = TokenPair(tuple(model.encode(own)[0]), tuple(model.encode(other)[0]))
        return Columns(model, paired=True).of(pair)

    return of


def names(way: tuple[int, ...], words: Words) -> list[str]:
    return [words.word(token)[0] for token in way]


def test_a_repeated_word_is_one_word_and_has_to_be_repeated(model: Model, columns: Any) -> None:
    words = Words(model)
    whole = columns(POSITIVE, NEGATIVE)
    differs = next(place for place, column in enumerate(whole) if column.differs)
    john = next(place for place, column in enumerate(whole) if column.own == whole[differs].own)
    pattern = Pattern((whole[john], whole[differs]), words, anchored=False)
    assert pattern.slots == (Slot(0, 0), Slot(0, 1))
    assert [names(way, words) for way in pattern.ways(whole, 9)] == [["John", "Paul"]]
    assert pattern.ways(columns(NEGATIVE, POSITIVE), 9) == []  # Paul came once
    other = columns(POSITIVE.replace("John", "Anna"), NEGATIVE.replace("John", "Anna"))
    assert [names(way, words) for way in pattern.ways(other, 9)] == [["Anna", "Paul"]]
    assert pattern.ways(columns(POSITIVE, POSITIVE), 9) == []  # nothing differs


def test_other_words_stand_in_all_of_their_places(model: Model, columns: Any) -> None:
    words = Words(model)
    whole = columns(POSITIVE, NEGATIVE)
    pattern = Pattern([column for column in whole if "John" in words.word(column.own)[0]], words, anchored=False)
    anna, paul = model.tokens.alone(" Anna")[0], model.tokens.alone(" Paul")[0]
    changed = pattern.with_words({0: anna})
    assert changed == (TokenColumn(anna, anna), TokenColumn(anna, paul))
    assert pattern.with_words({0: paul}) is None  # both words would be one
    assert pattern.with_words({}) == pattern.columns


def test_a_pattern_that_ends_where_the_node_is_read_is_found_there_only(model: Model, columns: Any) -> None:
    words, whole = Words(model), columns(POSITIVE, POSITIVE)
    last, inner = Pattern(whole[-1:], words, anchored=True), Pattern(whole[3:4], words, anchored=True)
    assert last.ways(whole, 99) == inner.ways(whole, 99) == [(whole[-1].own,)]
    assert len(Pattern(whole[3:4], words, anchored=False).ways(whole, 99)) == len({column.own for column in whole})


def test_a_repetition_that_only_prompts_with_the_code_have_stays(model: Model, columns: Any) -> None:
    prompts = [columns(POSITIVE, NEGATIVE), columns(NEGATIVE, POSITIVE)]
    ties = Ties(prompts, [True, False], Words(model))
    whole = prompts[0]
    differs = next(place for place, column in enumerate(whole) if column.differs)
    john = next(place for place, column in enumerate(whole) if column.own == whole[differs].own)
    assert not ties.allows((whole[john], whole[differs]), (whole[differs],))
    assert ties.allows((whole[1], whole[john], whole[differs]), (whole[john], whole[differs]))
    assert Ties(prompts, [True, True], Words(model)).allows((whole[john], whole[differs]), (whole[differs],))


def test_words_with_and_without_a_space_are_the_same(model: Model) -> None:
    words = Words(model)
    spaced = model.tokens.alone(" Mary")[0]
    assert words.word(spaced) == ("Mary", True)
    assert words.token("John", like=spaced) == model.tokens.alone(" John")[0]
    assert words.token("no such word", like=spaced) is None
    assert words.is_plain(spaced)
    assert not words.is_plain(10**9)
