"""Test that parts of characters are shown byte by byte, never as a replacement character."""

from typing import Any

import pytest

from engine.models.byte_tokens import UNREADABLE, byte_words


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        ("\u00e6\u0139", "<e6 97>"),
        ("\u00a5", "<a5>"),
        ("\u0120Mary", " Mary"),
        ("\u00c3\u00a9", "é"),
        ("<0xE6>", "<e6>"),
    ],
)
def test_a_piece_is_told_by_its_bytes(piece: str, words: str) -> None:
    assert byte_words(piece) == words


def test_a_piece_of_another_alphabet_is_left_alone() -> None:
    assert byte_words("\u2581Mary") is None
    assert byte_words("") is None


def test_no_token_of_a_prompt_is_a_sign_that_could_be_any(model: Any) -> None:
    ids, _ = model.encode("日本 👩 café")
    output = [model.token_words(token) for token in ids]
    assert not any(UNREADABLE in text for text in output)
    raw = b"".join(
        bytes.fromhex(text[1:-1]) if text.startswith("<") and text.endswith(">") else text.encode() for text in output
    )
    assert raw.decode() == "日本 👩 café"
    assert [model.token_words(token) for token in model.encode("When Mary and John")[0]][1:] == [
        " Mary",
        " and",
        " John",
    ]
