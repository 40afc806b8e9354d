"""Means of effects over prompts of unequal length, aligned at their ends."""

import pytest

from engine.node_parts import PromptPlaces, mean_places


def prompt(example: int, tokens: str, effects: tuple[float, ...], other: str = "") -> PromptPlaces:
    return PromptPlaces(
        example=example, base=1.0, tokens=tuple(tokens), other=tuple(other or tokens.upper()), effects=effects
    )


def test_prompts_are_aligned_at_their_ends() -> None:
    first, second, last = mean_places([prompt(0, "abc", (9.0, 1.0, 4.0)), prompt(1, "xc", (3.0, 8.0))])
    assert (first.from_end, first.effect, first.error, first.prompts, first.token) == (2, 9.0, None, 1, "a")
    assert (second.from_end, second.effect, second.prompts, second.tokens) == (1, 2.0, 2, 2)
    assert second.error == pytest.approx(1.0)  # of 1 and 3
    assert (last.from_end, last.effect, last.token, last.other, last.tokens) == (0, 6.0, "c", "C", 1)


def test_one_prompt_has_no_error_and_none_has_no_places() -> None:
    assert [each.error for each in mean_places([prompt(0, "ab", (1.0, 2.0))])] == [None, None]
    assert mean_places([]) == ()
