"""Foreign text: what may never reach a terminal, and what must survive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.terminal.sanitize import REPLACED, clean

WORST = [
    ("\x1b[2J", "␛[2J"),
    ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
    ("\x9b31m", REPLACED + "31m"),
    ("a\x00b\x7f", "a␀b␡"),
    ("\u202eevil", REPLACED + "evil"),
    ("line\x85next", f"line{REPLACED}next"),
    ("one\ntwo\ttabs\r", "one␊two␉tabs␍"),
    ("\ud800", REPLACED),
    ("[b]bold[/b] [@click=app.quit]go[/]", "[b]bold[/b] [@click=app.quit]go[/]"),
    ("Zoë 日本 🙂 e\u0301", "Zoë 日本 🙂 e\u0301"),
]


@pytest.mark.parametrize(("foreign", "shown"), WORST)
def test_control_characters_become_visible_and_words_stay(foreign: str, shown: str) -> None:
    assert clean(foreign) == shown


def test_lines_keep_their_breaks_and_nothing_else() -> None:
    assert clean("a\r\n\tb\x1b\nc\r", lines=True) == "a\n    b␛\nc␍"


@given(st.text(), st.booleans())
def test_no_control_character_survives(text: str, lines: bool) -> None:
    shown = clean(text, lines=lines)
    assert all((ord(sign) >= 32 and not 0x7F <= ord(sign) < 0xA0) or (lines and sign == "\n") for sign in shown)
    shown.encode("utf-8")
    assert clean(shown, lines=lines) == shown
