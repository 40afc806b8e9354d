"""The list of sessions over the workbench and the notes in it, on a real host process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.examples import Example
from engine.machine.folders import AppFolders
from engine.nodes import NodeId
from sessions.client.connection import HostClient
from sessions.protocol import (
    ChangeTags,
    CreateSession,
    NoteAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    ShowSession,
    WriteNote,
)
from sessions.protocol import ListSessions as List
from tui.actions import ACTIONS as WORKBENCH
from tui.app.app import HeadcodeApp
from tui.screens.new_session import NewSessionScreen
from tui.screens.sessions import ACTIONS, SessionsScreen
from tui.screens.text_prompt import TextPromptSheet

from ..real_host import wait

HOST = Path(__file__).parents[2] / "sessions" / "scripted_host.py"


async def connect(places: AppFolders) -> HostClient:
    return await HostClient.connect(places, command=[sys.executable, "-P", str(HOST)])


async def fill(places: AppFolders) -> None:
    """Three sessions; the last one made has a name that would like to be markup."""
    async with await connect(places) as client:
        yes, no = (Example(prompt=f"Then Paris {side}", polarity=side) for side in ("positive", "negative"))
        await client.ask(CreateSession(name="greater", model="toy", task="greater_than"), SessionAnswer)
        await client.ask(CreateSession(name="own words", model="toy", examples=(yes, no)), SessionAnswer)
        await client.ask(ChangeTags(session="own words", add=("paper",)), SessionAnswer)
        await client.ask(WriteNote(session="greater", text="as in \x1b[2Jthe Paris run"), NoteAnswer)
        await client.ask(CreateSession(name="[red]ioi[/b] \u202efriday", model="toy", task="ioi"), SessionAnswer)


async def typed(pilot: Pilot[None], text: str) -> None:
    await wait(pilot, lambda: isinstance(pilot.app.screen, TextPromptSheet))
    pilot.app.screen.query_one("#line").value = text  # type: ignore[attr-defined]
    await pilot.press("enter")


def names(app: HeadcodeApp) -> list[str]:
    sheet = next(screen for screen in app.screen_stack if isinstance(screen, SessionsScreen))
    return [row.name for row in sheet.list.rows]


Text = Callable[[Any], str]


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_a_way_through_the_list(places: AppFolders, text_of: Text, size: tuple[int, int]) -> None:
    await fill(places)
    app = HeadcodeApp(lambda: connect(places), session="greater", model="toy", task="ioi", depth="full")
    async with app.run_test(size=size) as pilot:

        async def says(words: str) -> None:
            await wait(pilot, lambda: words in text_of(app))

        await wait(pilot, lambda: app.state.session_name == "greater" and app.state.last_seq == 2)
        await says("✎ as in [2Jthe Paris run")  # the session's note, in the strip below
        await pilot.press("S")
        await says("3 sessions")
        text = text_of(app)
        assert "[red]ioi[/b] friday" in text
        assert "\x1b" not in text
        assert "#paper" in text
        assert text.index("[red]ioi") < text.index("greater") < text.index("own words")

        await pilot.press("slash")
        await wait(pilot, lambda: isinstance(app.screen, TextPromptSheet))
        await pilot.press(*"paris")
        await wait(pilot, lambda: names(app) == ["greater", "own words"])  # while it is typed
        await pilot.press("enter")
        await says("2 sessions with paris")
        await says("the Paris run")
        await pilot.press("down")
        await says("prompt Then Paris positive")
        await pilot.press("escape")
        await says("3 sessions ")

        await pilot.press("r")
        await typed(pilot, "greater")
        await says("Another session is called 'greater'")
        await pilot.press("r")
        await typed(pilot, " own\twords 2 ")
        await wait(pilot, lambda: "own words 2" in names(app))
        await pilot.press("t")
        await typed(pilot, "#New a/b")
        await says("#a/b #new")
        await pilot.press("t")
        await typed(pilot, "two,words")
        await says("is not a valid tag")
        await pilot.press("N")
        await typed(pilot, "words of mine")
        await says("Saved.")

        await pilot.press("d")
        await says("own words 2 is in the trash: u restores it.")
        assert len(names(app)) == 2
        await pilot.press("T")
        await says("Trash: 1 session")
        await pilot.press("enter")
        await says("It is in the trash: u restores it first.")
        await pilot.press("T")
        await pilot.press("u")
        await says("own words 2 is restored.")
        assert names(app)[0] == "own words 2"
        await pilot.press("u")
        await says("Nothing was deleted here.")

        await pilot.press("home", "enter")
        await wait(pilot, lambda: app.state.session_name == "own words 2" and app.state.link == "live")
        assert len(app.state.examples) == 2
        assert [note.text for note in app.state.session.notes.values()] == ["words of mine"]

        await pilot.press("S")
        await says("3 sessions")
        await pilot.press("n")
        await says("Name of the new session")
        await pilot.press(*"the copy", "enter")
        await says("chosen: toy")
        await pilot.press("enter", "up", "down", "down", "down")
        await says("▸ those of this session             no task: 2 examples, copied")
        await pilot.press("enter")
        await wait(pilot, lambda: app.state.session_name == "the copy" and app.state.link == "live")
        await wait(pilot, lambda: len(app.state.examples) == 2)
        assert not isinstance(app.screen, SessionsScreen)
    async with await connect(places) as client:
        rows = (await client.ask(List(), SessionsAnswer)).sessions
        assert [row.name for row in rows][:2] == ["the copy", "own words 2"]
        assert rows[1].tags == ("a/b", "new")


async def test_a_new_session_does_not_give_own_examples_another_tasks_name(recorded: Any, open_screen: Any) -> None:
    """The current session began with a task and now has the user's own examples."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        assert app.state.task == "ioi"
        await pilot.press("S")
        await until(lambda: isinstance(app.screen, SessionsScreen))
        await pilot.press("n")
        await until(lambda: isinstance(app.screen, NewSessionScreen) and app.screen.models.choice is not None)
        await pilot.press(*"mine", "enter", "enter")
        await until(lambda: app.screen.sources.has_focus)
        await pilot.press("down", "down", "down", "enter")
        await until(lambda: host.of_kind("CreateSession"))
        asked = host.of_kind("CreateSession")[0]
        assert asked.task is None
        assert asked.examples == tuple(app.state.examples)
        assert len(asked.examples) == 20


async def test_notes_on_a_head_a_run_and_the_session(places: AppFolders, text_of: Text) -> None:
    app = HeadcodeApp(lambda: connect(places), model="toy", task="ioi", depth="full")
    async with app.run_test(size=(160, 48)) as pilot:
        await wait(pilot, lambda: app.state.shown is not None and app.state.shown.state == "done")
        app.state.put_cursor(1, 2)
        await pilot.press("N")
        await wait(pilot, lambda: isinstance(app.screen, TextPromptSheet))
        await wait(pilot, lambda: "Note on head 1.2 of run 1" in text_of(app))
        await typed(pilot, "says [b]names[/b]")
        await wait(pilot, lambda: "✎ says [b]names[/b]" in text_of(app))
        await pilot.press("ctrl+n")
        await typed(pilot, "the good one")
        await wait(pilot, lambda: "run 1 ✎" in text_of(app) and "✎ the good one" in text_of(app))

        await pilot.press("N")
        await wait(pilot, lambda: isinstance(app.screen, TextPromptSheet))
        assert app.screen.query_one("#line").value == "says [b]names[/b]"  # type: ignore[attr-defined]
        await pilot.press(*" too", "enter")  # what stands there is gone on with
        await wait(pilot, lambda: "✎ says [b]names[/b] too" in text_of(app))
        assert len(app.state.session.notes) == 2

        await pilot.press("r")
        await wait(pilot, lambda: len(app.state.runs) == 2 and app.state.runs[1].state == "done")
        app.state.put_cursor(1, 2)
        await pilot.press("left", "right")
        await wait(pilot, lambda: "✎ run 1: says [b]names[/b] too" in text_of(app))
        session = app.state.session_id
        assert session is not None
        async with await connect(places) as client:
            notes = (await client.ask(ShowSession(session=session), SessionDetailAnswer)).detail.notes
            await client.ask(
                WriteNote(session=session, text="from\nelsewhere", run="2", head=tuple(NodeId(1, 2))), NoteAnswer
            )
        assert [(note.run_number, note.layer, note.head) for note in notes] == [(1, None, None), (1, 1, 2)]
        await wait(pilot, lambda: "✎ from" in text_of(app))
        await pilot.press("N")  # a note of two lines is left alone: another stands beside it
        await wait(pilot, lambda: isinstance(app.screen, TextPromptSheet))
        assert app.screen.query_one("#line").value == ""  # type: ignore[attr-defined]
        await typed(pilot, "short")
        await wait(pilot, lambda: len(app.state.session.notes) == 4)
        await pilot.press("N")
        await typed(pilot, "")
        await wait(pilot, lambda: len(app.state.session.notes) == 3)


def test_every_action_of_the_list_is_said_and_none_is_doubled() -> None:
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    for action in ACTIONS:
        assert action.title
        assert action.tooltip
        assert hasattr(SessionsScreen, f"action_{action.call.split('(')[0]}")
    assert {"sessions", "note.head", "note.run"} <= {action.id for action in WORKBENCH}
