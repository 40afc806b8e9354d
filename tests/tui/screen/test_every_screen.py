"""Every screen and sheet: resized through any size while data arrives, and shown the worst of foreign text.

One workbench visits all of them, as opening one for each takes minutes.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import Failure
from engine.events import CardWritten, EdgesScored, ExamplesMade, Graded, ModelReady, Notice, ReferenceKnown
from engine.examples import Example, content_hash
from engine.places import find_places
from engine.results import Card, EdgeScore, Grade, ModelInfo, Reference, Steadiness, Versions
from sessions.log import CircuitKept, ExamplesSet, NoteWritten, RunEnded, TagsSet
from sessions.rows import Choice
from tui.actions.everywhere import all_tables
from tui.screens.trouble import Trouble

pytestmark = pytest.mark.timeout(400)
"""Every screen is visited many times; on a busy machine that takes minutes."""

WAYS: dict[str, tuple[str, ...]] = {
    "keys": (),
    "examples": ("1",),
    "head-page": ("3",),
    "write": ("w",),
    "write-in-a-line": ("w", "down", "e"),
    "negatives": ("w", "n"),
    "files": ("w", "i"),
    "tasks": ("w", "t"),
    "options": ("O",),
    "progress": ("i",),
    "close-look": ("enter",),
    "edges": ("e",),
    "table-of-heads": ("L",),
    "runs": ("R",),
    "circuits": ("C",),
    "sessions": ("S",),
    "copy-the-grid": ("y",),
    "log": ("G",),
    "replay": ("p", "space", "home"),
    "tour": ("f1",),
    "card": ("b",),
    "help": ("question_mark",),
    "question": ("slash",),
    "choice": ("d",),
    "settings": ("comma",),
    "trouble": (),
}
"""From the workbench to each screen; a new one is missed by the first test."""

SIZES = ((20, 5), (220, 70), (40, 10), (1, 1), (80, 24), (160, 48))
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
SHOWS_NONE = {"edges", "options", "progress", "runs", "settings", "table-of-heads", "tasks"}
"""Screens on which nobody's text but ours is seen."""
SHOWS_NO_BEGINNING = {"log", "negatives"}
"""Screens that show another part of a text that goes on for pages."""
RAW = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]")
CARD = Card(
    verdict="weak",
    reasons=("few examples",),
    advice=(),
    above_chance=(),
    expected_false=0.04,
    heads=(),
    steadiness=Steadiness(seeds=0.6, bootstraps=0.7, n_bootstraps=100, heads=()),
    truth=None,
    codes_auc=None,
    baselines=(),
    movers=None,
)


def whole(recorded: Any, **more: Any) -> list[Any]:
    """A finished run with edges and a card."""
    events = recorded.events(**more)
    edges = EdgesScored(edges=(EdgeScore(source=(0, 1), target=(2, 3), score=6.3),), n_pairs=960)
    return [*events[:-2], edges, CardWritten(card=CARD), *events[-2:]]


def test_every_screen_has_a_way_in() -> None:
    assert set(WAYS) == set(all_tables())


def scopes(app: Any) -> set[str]:
    """The tables of actions that are in sight."""
    nodes = [app.screen, *(each for each in app.screen.query("*") if each.region.area)]
    found = {action.scope for node in nodes for action in getattr(node, "actions", ())}
    if hasattr(app.screen, "at_hand"):
        found |= {action.scope for action in app.screen.at_hand}
    return found


async def go(app: Any, pilot: Any, name: str, text: str = "gone") -> None:
    """To a screen from any other."""
    while len(app.screen_stack) > 1:
        app.pop_screen()
        await pilot.pause()
    await pilot.press("2")
    for key in WAYS[name]:
        await pilot.press(key)
        await pilot.pause(0.02)
    if name == "trouble":
        app.push_screen(Trouble(Failure(family="host", name="X", message=text, hint=text)))
    scope = "" if name == "keys" else name
    for _ in range(12_000):
        if scope in scopes(app):
            break
        await pilot.pause(0.005)
    assert scope in scopes(app), f"{WAYS[name]} does not lead to {name}"


async def test_any_size_at_any_time(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    run, examples = whole(recorded), recorded.examples(10)
    host.add(ExamplesSet(examples=examples, content_hash=content_hash(examples)), *run)
    host.choices = (Choice(reference="a", group="Runs", title="run 1", detail="other"),)
    async with open_screen(host, notifications=True) as (app, pilot, until):
        for name in WAYS:
            await until(lambda: app.bench.last_seq == len(host.entries))
            await go(app, pilot, name)
            stack = [type(screen).__name__ for screen in app.screen_stack]
            news = iter(run)
            await host.tell(*(next(news) for _ in range(4)))  # a queued run takes the cursor away, by design
            await until(lambda: app.bench.last_seq == len(host.entries))
            app.bench.put_cursor(3, 5)
            for size in SIZES:
                await host.tell(next(news), next(news), next(news), next(news))
                await pilot.resize_terminal(*size)
                await pilot.pause()
                assert app.return_code is None, (name, size)
            await host.tell(*news)
            await until(lambda: app.bench.last_seq == len(host.entries))
            assert [type(screen).__name__ for screen in app.screen_stack] == stack, name
            assert app.bench.cursor == (3, 5), name


def hostile(recorded: Any, text: str) -> list[Any]:
    """A session in which everything that can be somebody's text is this one."""
    examples = tuple(
        Example(prompt=f"{text} {index}", polarity=side, expected=(text,), foils=(text, text), pair=index // 2)
        for index, side in enumerate(("positive", "negative") * 3)
    )
    events = whole(recorded, examples=examples)
    grade: dict[str, Any] = {
        "verdict": "weak",
        "reason": text,
        "n_tokens": 9,
        "probability": 0.3,
        "rank": 2,
        "says": text,
    }
    info: dict[str, Any] = {
        "identity": "a" * 64,
        "n_layers": 6,
        "n_heads": 8,
        "d_model": 8,
        "d_head": 1,
        "context": 8,
        "vocabulary": 9,
    }
    for index, event in enumerate(events):
        match event:
            case Graded():
                events[index] = Graded(grades=tuple(Grade(index=i, **grade) for i in range(6)))
            case ExamplesMade():
                events[index] = ExamplesMade(examples=examples, content_hash="c", task=text, made=True)
            case ReferenceKnown():
                events[index] = ReferenceKnown(reference=Reference(name=text, source=text, heads=recorded.known))
            case ModelReady():
                versions = Versions(headcode=text, python=text, torch=text, transformer_lens=text, device=text)
                events[index] = ModelReady(model=ModelInfo(name=text, **info), versions=versions, warm=True)
    return [
        ExamplesSet(examples=examples, content_hash=content_hash(examples)),
        *events[:-1],
        Notice(message=text, hint=text),
        events[-1],
        CircuitKept(name=text, heads=((0, 1),), source=text),
        NoteWritten(note_id="n1", text=text, head=(3, 5)),
        NoteWritten(note_id="n2", text=text),
        TagsSet(tags=(text[:40],)),
    ]


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

    host = Hostile(session=text)
    host.session = msgspec.structs.replace(
        host.session, name=text, model=text, task=text, n_runs=1, n_positive=3, n_negative=3, tags=(text[:40],)
    )
    host.add(*hostile(recorded, text))
    host.choices = tuple(Choice(reference=f"{n}", group=text, title=text, detail=text) for n in range(3))
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
    """The working folder; its files have names nobody would type."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for text in WORST.values():
        name = text.replace("/", "").replace("\0", "")[:60].encode("utf-8", "replace")
        (folder / os.fsdecode(name + b"\xff.txt")).write_text("x")
    return folder


def write_logs(text: str) -> Iterator[Path]:
    folder = find_places().logs
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
    async with open_screen(host, size=(130, 40), notifications=True) as (app, pilot, _until):
        app.bench.put_cursor(3, 5)
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
            await pilot.resize_terminal(130, 40)
            assert app.return_code is None, name
            if BEGIN[kind] in seen:
                shown.add(name)
        assert set(WAYS) - shown <= SHOWS_NONE | (SHOWS_NO_BEGINNING if kind == "bulk" else set())


@pytest.mark.parametrize("kind", WORST)
async def test_what_goes_wrong_and_what_is_said_over_it_is_harmless(kind: str, recorded: Any, open_screen: Any) -> None:
    text = WORST[kind]
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    told = text.encode("utf-8", "replace").decode()
    async with open_screen(host, size=(130, 40), notifications=True) as (app, pilot, until):
        await host.tell(RunEnded(state="failed", failure=Failure(family="engine", name="X", message=told, hint=told)))
        await until(lambda: app.bench.shown.state == "failed")
        drawn(app)
        app.say(text, title=text)
        await pilot.pause(0.12)
        drawn(app)
        assert app.return_code is None
