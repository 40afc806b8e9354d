"""Test that any terminal input is accepted: other encodings, line noise, unknown sequences."""

import random
from collections.abc import Sequence

import pytest
from textual import events

from tui.terminal.input_driver import InputDecoder


def keys_of(taken: Sequence[object]) -> str:
    return "".join(each.character or "" for each in taken if isinstance(each, events.Key))


def pasted(taken: Sequence[object]) -> list[str]:
    return [each.text for each in taken if isinstance(each, events.Paste)]


def test_a_paste_in_another_encoding_arrives_with_signs_for_what_it_was() -> None:
    sent = InputDecoder().take("\x1b[200~na\xefve caf\xe9\x1b[201~x".encode("latin-1"))
    assert pasted(sent) == ["na�ve caf�"]
    assert keys_of(sent) == "x"


def test_a_letter_that_comes_in_two_pieces_is_one_letter() -> None:
    keys = InputDecoder()
    assert keys_of(keys.take("é".encode()[:1])) == ""
    assert keys_of(keys.take("é".encode()[1:])) == "é"


@pytest.mark.parametrize("nonsense", ["\x1b[:1u", "\x1b[1;2:R", "\x1b[2048201~", "\x1b[1;21;2999999999999:R", "\x9b"])
def test_keys_after_a_sequence_that_makes_no_sense_are_keys(nonsense: str) -> None:
    assert keys_of(InputDecoder().take(nonsense.encode("latin-1") + b"jk")).endswith("jk")


COLOURED = "\x1b[1;31mWhen\x1b[0m \x1b]52;c;aGk=\x07 x\x1b[2J => y\nqr"


@pytest.mark.parametrize("piece", [1, 2, 5, 7, 4096])
def test_sequences_in_a_paste_are_text_however_it_comes(piece: int) -> None:
    keys = InputDecoder()
    sent = f"ab\x1b[200~{COLOURED}\x1b[201~c\x1b[200~d\x1b\x1b[201~e".encode()
    taken = [event for at in range(0, len(sent), piece) for event in keys.take(sent[at : at + piece])]
    assert pasted(taken) == [COLOURED.replace("\x1b", "␛"), "d␛"]
    assert keys_of(taken) == "abce"


def test_noise_of_a_line_raises_nothing() -> None:
    draw = random.Random(8)
    keys = InputDecoder()
    for _ in range(3_000):
        keys.take(b"\x1b[" * draw.randint(0, 1) + draw.randbytes(draw.randint(0, 20)))
