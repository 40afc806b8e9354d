"""The worst of foreign text in the tables of the command line: one line a row, nothing reaches the terminal raw."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.examples import Example, content_hash
from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.events import (
    CircuitSaved,
    ExamplesSet,
    NoteWritten,
    RunEnded,
    RunQueued,
    RunStarted,
    SessionCreated,
    TagsSet,
)
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder

SCRIPTED = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
WORST = " ".join(
    (
        "begin [/b] [@click=app.quit]go[/] [bold red]x[/bold red] [$accent]v",
        "\x1b[2J\x1b]52;c;aGk=\x07\x1b]0;owned\x07 \x9b31m \x7f \x08\x08",
        "\u202eright to left\u2066 \u200b\ufeff \x85 \u2028 \U000e0041",
        "e" + "\u0301" * 300,
        "日本語 🙂🙂 👩‍👩‍👧",
        "tab\tand\nnew\r\nlines",
        "x" * 3_000,
        "end",
    )
)
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0041]")


@pytest.fixture
def hostile(headcode: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The command line with a host on a store in which every foreign text is this one."""
    places = find_folders()
    places.store.parent.mkdir(parents=True, exist_ok=True)
    examples = tuple(
        Example(prompt=f"{side} {WORST}", polarity=side, expected=(WORST,), foils=(WORST,))
        for side in ("positive", "negative")
    )
    store = Store.open(places.store)
    recorder = Recorder(store)
    for run_id, event in (
        (None, SessionCreated(name=WORST, model=WORST, task=WORST)),
        (None, ExamplesSet(examples=examples, content_hash=content_hash(examples))),
        (None, TagsSet(tags=(WORST[:60],))),
        (None, NoteWritten(note_id="n000000000001", text=WORST)),
        ("r000000000001", RunQueued(config=ProbeConfig(), model=WORST, task=WORST)),
        ("r000000000001", RunStarted()),
        (
            "r000000000001",
            RunEnded(state="failed", failure=Failure(family="engine", name="X", message=WORST, hint=WORST)),
        ),
        ("r000000000001", CircuitSaved(name=WORST, heads=((0, 1),), source=WORST)),
    ):
        recorder.append([EventDraft(session_id="s000000000001", run_id=run_id, event=event)])
    store.close()

    async def begin(places: AppFolders) -> None:
        async with await HostClient.connect(places, command=[sys.executable, "-P", str(SCRIPTED)]):
            pass

    asyncio.run(begin(places))
    yield headcode
    asyncio.run(stop_host(places))


def test_every_table_is_harmless(hostile: Callable[..., Any]) -> None:
    """One host for all of it: starting one takes a second."""
    session = "s000000000001"
    for words, code, n_lines in (
        (("sessions", "list"), 0, 2),
        (("sessions", "list", "--search", "begin"), 0, 2),
        (("sessions", "search", "begin"), 0, None),
        (("sessions", "show", session), 0, None),
        (("circuits", "list"), 0, 2),
        (("circuits", "show", WORST), 0, 2),
        (("examples", "show", session), 0, 2),
        (("sessions", "show", WORST + "no"), 2, None),
        (("circuits", "show", WORST + "no"), 2, None),
        (("probe", WORST), 2, None),
    ):
        ran = hostile(*words)
        assert ran.code == code, (words, ran)
        output = ran.out if code == 0 else ran.err
        assert not RAW.search(ran.out + ran.err), (words, RAW.findall(ran.out + ran.err))
        assert "[@click=app.quit]go[/]" in output, words
        if n_lines is not None:
            assert ran.out.count("\n") == n_lines, (words, ran.out[:500])
