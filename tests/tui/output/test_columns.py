"""Test that columns are aligned: a Chinese letter takes two cells, a combining accent none."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len

from engine.config import ProbeConfig
from engine.examples import Example, content_hash
from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.events import CircuitSaved, ExamplesSet, RunEnded, RunQueued, RunStarted, SessionCreated, TagsSet
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder
from tui.output.console import pad, print_columns, shorten
from tui.terminal.sanitize import clean
from tui.widgets.styled_line import fit

SCRIPTED = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
NAMES = ("plain", "名詞を動かす頭", "cafe\u0301 nai\u0308f", "한국어와 🙂 both", "é composed")
FOREIGN = some.text(alphabet="ab 日本한🙂e\u0301\u0308é", max_size=30)


def at_cell(line: str, column: int) -> str:
    """Return the text from that cell on; fail if a letter crosses it."""
    for end in range(len(line) + 1):
        if cell_len(line[:end]) == column and (end == len(line) or cell_len(line[end])):
            return line[end:]
    raise AssertionError((line, column))


def aligned(text: str, header: tuple[str, ...]) -> list[str]:
    """The lines below the header, each checked to have something at the beginning of every column."""
    first, *rows = text.splitlines()
    for title in header:
        column = cell_len(first[: first.index(title)])
        for row in rows:
            assert at_cell(row, column)[:1].strip(), (title, row)
            assert column == 0 or at_cell(row, column - 1)[:1] == " ", (title, row)
    return rows


@given(some.lists(some.tuples(FOREIGN, FOREIGN), min_size=1, max_size=6))
def test_the_last_column_begins_at_one_cell(rows: list[tuple[str, str]]) -> None:
    out: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stdout, "write", out.append)
        print_columns([(a, b, "|") for a, b in rows])
    lines = "".join(out).splitlines()
    assert len(lines) == len(rows)
    assert len({cell_len(line) for line in lines}) == 1


@given(FOREIGN, some.integers(0, 20))
def test_padding_counts_cells_on_both_sides(text: str, width: int) -> None:
    for padded in (pad(text, width), pad(text, width, right=True)):
        assert cell_len(padded) == max(width, cell_len(text))
    assert pad("日本", 6) == "日本  "
    assert pad("日本", 6, right=True) == "  日本"


@given(some.one_of(FOREIGN, FOREIGN.map(lambda text: text * 9)), some.integers(4, 40))
def test_what_is_cut_off_fits_and_what_fits_is_not_cut_off(text: str, width: int) -> None:
    for short, dots in ((shorten(text, width), "..."), (fit(text, width), "…")):
        assert cell_len(short) <= width
        assert short == text or (short.endswith(dots) and text.startswith(short.removesuffix(dots)))
        if cell_len(text) <= width and len(text) <= 8 * width:
            assert short == text


def test_a_letter_with_hundreds_of_accents_is_cut_off() -> None:
    assert len(shorten("e" + "\u0301" * 900, 10)) < 90
    assert len(fit("e" + "\u0301" * 900, 10)) < 90


@pytest.fixture
def several(headcode: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The command line on a store with a session, a run, a tag and a circuit under each of the names."""
    places = find_folders()
    places.store.parent.mkdir(parents=True, exist_ok=True)
    examples = tuple(
        Example(prompt=f"{name} {side}", polarity=side, expected=(f" {name}",))
        for name in NAMES
        for side in ("positive", "negative")
    )
    store = Store.open(places.store)
    recorder = Recorder(store)
    for number, name in enumerate(NAMES):
        session, run = f"s{number:012}", f"r{number:012}"
        for run_id, event in (
            (None, SessionCreated(name=name, model=name[::-1].strip("\u0301\u0308"), task=name)),
            (None, ExamplesSet(examples=examples, content_hash=content_hash(examples))),
            (None, TagsSet(tags=(name.replace(" ", "-"),))),
            (run, RunQueued(config=ProbeConfig(), model=name, task=name)),
            (run, RunStarted()),
            (run, RunEnded(state="stopped")),
            (run, CircuitSaved(name=name, heads=((0, 1),), source=f"from {name}")),
        ):
            recorder.append([EventDraft(session_id=session, run_id=run_id, event=event)])
    store.close()

    async def begin(places: AppFolders) -> None:
        async with await HostClient.connect(places, command=[sys.executable, "-P", str(SCRIPTED)]):
            pass

    asyncio.run(begin(places))
    yield headcode
    asyncio.run(stop_host(places))


LISTINGS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("sessions", "list"), ("session", "model", "task", "examples", "runs", "changed", "tags", "id")),
    (("circuits", "list"), ("session", "circuit", "heads", "kept", "made from")),
    (("tasks",), ("task", "published for", "description")),
    (("models", "list"), ("model", "architecture", "width", "context", "weights", "from")),
    (("sql", "SELECT name, model, runs, task FROM sessions ORDER BY name"), ("name", "model", "task")),
    (("host", "status"), ()),
)


def test_every_listing_stands_in_columns(several: Callable[..., Any]) -> None:
    """One host for all of it: starting one takes a second."""
    for command, header in LISTINGS:
        ran = several(*command)
        assert ran.code == 0, (command, ran)
        rows = aligned(ran.out, header)
        if command[0] in ("sessions", "circuits", "sql"):
            assert {name for name in NAMES if any(clean(name) in row for row in rows)} == set(NAMES), command
    ran = several("sessions", "show", "s000000000002")
    runs = ran.out[ran.out.index("run ") :].split("\n\n")[0]
    aligned(runs, ("run", "state", "asked", "model", "seeds", "id"))
