"""Every screen and sheet shown the worst of foreign text."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import Failure
from engine.events import ExamplesMade
from engine.examples import content_hash
from engine.explanations import CodeExplanation
from engine.machine.folders import find_folders
from sessions.events import CircuitSaved, ExamplesSet, NoteWritten, RunEnded, RunLabelled, TagsSet
from sessions.protocol import AtlasAnswer, Explained
from sessions.rows import ComparisonChoice

from ..hostile_run import hostile_run
from ..visits import WAYS, go

WORST = {
    "markup": "[/b] [/] [@click=app.quit]go[/] [bold red]x[/bold red] [$accent]v [ not ] [[dbl]]",
    "control": "\x1b[2J\x1b]52;c;aGk=\x07\x1b]0;owned\x07 \x9b31m \x00 \x7f",
    "direction": "\u202eright to left\u2066 \u200b\ufeff \x85 \u2028 \U000e0041",
    "combining": "e" + "\u0301" * 300 + " z" + "\u0489" * 200,
    "wide": "日本語の長い文 🙂🙂🙂 👩‍👩‍👧 " * 9,
    "lines": "tab\tand\nnew\r\nlines\n" * 30,
    "long": "x" * 6_000,
    "surrogate": "half \ud800 of a pair",
}
MIXED = {
    "signs": " ".join(WORST[name] for name in ("markup", "control", "direction")),
    "bulk": " ".join(WORST[name] for name in ("combining", "wide", "lines", "long")),
}
"""Every kind is seen on every screen; a visit for each would take minutes."""
BEGIN = {"signs": "[@click=app.quit]go", "bulk": "e\u0301"}
SHOWS_NONE = {
    *(
        "document",
        "edges",
        "embedding-page",
        "families",
        "new-session",
        "options",
        "places-by-layer",
        "progress",
        "scatter",
        "settings",
        "table-of-heads",
    ),
    "tasks",
}
"""Screens that show no foreign text."""
SHOWS_NO_BEGINNING = {"atlas", "log", "negatives"}
"""Screens that show another part of a text that goes on for pages."""
RAW = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]")


def hostile(recorded: Any, text: str) -> list[Any]:
    """A session in which every foreign text is this one."""
    events = hostile_run(recorded, text)
    examples = next(event.examples for event in events if isinstance(event, ExamplesMade))
    return [
        ExamplesSet(examples=examples, content_hash=content_hash(examples)),
        *events,
        CircuitSaved(name=text, heads=((0, 1),), source=text),
        NoteWritten(note_id="n1", text=text, head=(3, 5)),
        NoteWritten(note_id="n2", text=text),
        RunLabelled(name=text, tags=(text[:40],)),
        TagsSet(tags=(text[:40],)),
    ]


def foreign_explanation(found: CodeExplanation, text: str) -> CodeExplanation:
    """The same with that text for every token."""
    replace = msgspec.structs.replace
    patterns = tuple(
        replace(
            pattern,
            words=tuple(replace(word, token=text, keeps=(text,), loses=(text,)) for word in pattern.words),
        )
        for pattern in found.patterns
    )
    salient = tuple(replace(each, tokens=tuple((text, weight) for _, weight in each.tokens)) for each in found.salient)
    rules = {name: replace(getattr(found, name), token=text) for name in ("frequent", "best_token")}
    return replace(found, patterns=patterns, salient=salient, notices=(text,), atlas_corpus=text, **rules)


def hostile_host(recorded: Any, text: str) -> Any:
    """Whose every answer has that text."""

    class Hostile(recorded.host):  # type: ignore[misc]
        def grade(self, request: Any) -> Any:
            found = super().grade(request)
            grades = tuple(msgspec.structs.replace(each, says=text, reason=text) for each in found.grades)
            return msgspec.structs.replace(found, grades=grades)

        def _look(self, request: Any) -> Any:
            found = super()._look(request)
            writes = tuple(
                msgspec.structs.replace(each, raises=((text, 2.0),), lowers=((text, -1.0),)) for each in found.writes
            )
            return msgspec.structs.replace(found, writes=writes)

        def _answer(self, request: Any) -> Any:
            found = super()._answer(request)
            if isinstance(found, Explained):
                return msgspec.structs.replace(found, explanation=foreign_explanation(found.explanation, text))
            if isinstance(found, AtlasAnswer):
                atlas = msgspec.structs.replace(found.atlas, words=(text,) * len(found.atlas.words))
                return msgspec.structs.replace(found, atlas=atlas)
            return found

    host = Hostile(session=text)
    host.atlas.stored = True
    host.sweep.name = text
    host.session = msgspec.structs.replace(
        host.session, name=text, model=text, task=text, n_runs=1, n_positive=3, n_negative=3, tags=(text[:40],)
    )
    host.add(*hostile(recorded, text))
    host.choices = tuple(ComparisonChoice(reference=f"{n}", group=text, title=text, detail=text) for n in range(3))
    return host


def drawn(app: Any) -> str:
    """What is on the screen, after a look at every piece of it."""
    found = []
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            assert not RAW.search(segment.text), repr(segment.text)
            if segment.style is not None:
                assert "quit" not in str(segment.style.meta.get("@click")), repr(segment.text)
                assert segment.style.link is None
            found.append(segment.text)
        found.append("\n")
    return "".join(found)


@pytest.fixture
def hostile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; its files have hostile names."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for text in WORST.values():
        name = text.replace("/", "").replace("\0", "")[:60].encode("utf-8", "replace")
        (folder / os.fsdecode(name + b"\xff.txt")).write_text("x")
    return folder


def write_logs(text: str) -> Iterator[Path]:
    folder = find_folders().logs
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "worker"):
        path = folder / f"{name}.log"
        line = f"2026-11-21 10:53:41,386 10849 ERROR headcode.runs: {text}\n"
        path.write_bytes(line.encode("utf-8", "surrogatepass") * 3)
        yield path


@pytest.mark.usefixtures("hostile_folder")
@pytest.mark.parametrize("kind", MIXED)
async def test_the_worst_of_foreign_text_is_shown_harmless(kind: str, recorded: Any, open_screen: Any) -> None:
    text = MIXED[kind]
    list(write_logs(text))
    host = hostile_host(recorded, text)
    async with open_screen(host, size=(130, 30), notifications=True) as (app, pilot, _until):
        app.state.put_cursor(3, 5)
        shown = set()
        for name in WAYS:
            await go(app, pilot, name, text + WORST["surrogate"])
            seen = drawn(app)
            await pilot.press("down", "up")
            await pilot.pause()
            seen += drawn(app)
            await pilot.resize_terminal(80, 24)
            await pilot.pause()
            seen += drawn(app)
            await pilot.resize_terminal(130, 30)
            assert app.return_code is None, name
            if BEGIN[kind] in seen:
                shown.add(name)
        assert set(WAYS) - shown <= SHOWS_NONE | (SHOWS_NO_BEGINNING if kind == "bulk" else set())


@pytest.mark.parametrize("kind", WORST)
async def test_what_goes_wrong_and_what_is_said_over_it_is_harmless(kind: str, recorded: Any, open_screen: Any) -> None:
    text = WORST[kind]
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    output = text.encode("utf-8", "replace").decode()
    async with open_screen(host, size=(130, 40), notifications=True) as (app, pilot, until):
        failure = Failure(family="engine", name="X", message=output, hint=output)
        await host.tell(RunEnded(state="failed", failure=failure))
        await until(lambda: app.state.shown.state == "failed")
        drawn(app)
        app.show_notice(text, title=text)
        await pilot.pause(0.12)
        drawn(app)
        assert app.return_code is None
