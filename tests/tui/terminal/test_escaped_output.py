"""Data for a program is raw; the same on a terminal cannot steer it, nor show one text as another."""

import asyncio
import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.examples import Example
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import CreateSession, SessionAnswer
from tui.terminal.sanitize import clean, escaped

SCRIPTED = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
TEXT = "ok\u202egnp.exe\u200b\x9b31m\u2066x\u2069\U000e0041\u00ad é 日 \U0001f600"
SHOWN = "ok\\u202egnp.exe\\u200b\\u009b31m\\u2066x\\u2069\\udb40\\udc41\\u00ad é 日 \U0001f600"
QUERY = f"SELECT '{TEXT}' AS x, ['{TEXT}'] AS \"y\u202e\""


@pytest.fixture
def typed(at_home: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command line with a host, its stdout a terminal or not."""
    asyncio.run(_start())

    def run(*words: str, terminal: bool) -> str:
        monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: terminal)
        ran = at_home(*words)
        assert ran.code == 0, ran.err
        return str(ran.out)

    yield run
    asyncio.run(stop_host(find_folders()))


async def _start() -> None:
    async with await HostClient.connect(find_folders(), command=[sys.executable, "-P", str(SCRIPTED)]) as client:
        examples = (
            Example(prompt=f"When {TEXT} and John", polarity="positive"),
            Example(prompt=f"When {TEXT} and Ruth", polarity="negative"),
        )
        await client.ask(CreateSession(name="mine", model="toy", examples=examples), SessionAnswer)


def test_data_is_raw_in_a_pipe_and_escaped_on_a_terminal(typed: Callable[..., Any]) -> None:
    piped, shown = (typed("sql", QUERY, "--csv", terminal=terminal) for terminal in (False, True))
    assert piped.splitlines()[1].split(",")[0] == TEXT
    assert shown.splitlines()[1].split(",")[0] == SHOWN
    piped, shown = (typed("sql", QUERY, "--json", terminal=terminal) for terminal in (False, True))
    assert TEXT in piped
    assert harmless(shown)
    assert json.loads(shown) == json.loads(piped), "it stays JSON, and says the same"
    for words in (
        ["examples", "show", "mine", "--json"],
        ["examples", "export", "mine"],
        ["examples", "export", "mine", "--as", "csv"],
        ["replay", "mine", "--json", "--speed", "max"],
    ):
        assert TEXT in typed(*words, terminal=False), words
        assert harmless(typed(*words, terminal=True)), words
    for words in (["sql", QUERY], ["examples", "show", "mine"], ["sessions", "show", "mine"]):
        assert harmless(typed(*words, terminal=False)), words


def harmless(text: str) -> bool:
    return not any(unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") for each in text if each != "\n")


def test_every_character_that_is_not_seen_is_replaced() -> None:
    """By Unicode's own tables: controls, formats, separators of lines. Arabic and Kaithi number signs are seen."""
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    silent = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp", "Cs")
    ]
    kept = {ord(each) for each in silent if clean(each) == each}
    assert kept == seen
    assert {ord(each) for each in silent if escaped(each) == each} == seen
    for each in silent:
        if ord(each) not in seen and not "\ud800" <= each <= "\udfff":
            assert json.loads(f'"{escaped(each)}"') == each
    assert escaped("a\nb", lines=True) == "a\nb"
