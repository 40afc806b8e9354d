"""Pictures of writing examples, each with a line of what it shows. HEADCODE_UPDATE_SNAPSHOTS=1 draws them again."""

from pathlib import Path
from typing import Any

from engine.authoring.drafts import parse_pasted
from engine.examples import content_hash
from sessions.events import ExamplesSet
from tui.screens.file_picker import FilePickerScreen
from tui.screens.negatives import NegativesScreen
from tui.screens.task_picker import TaskPickerScreen
from tui.screens.write import WriteScreen

TEXT = """+1 When Mary and John went to the shop, John gave a drink to => Mary | John
-1 When Mary and John went to the shop, Adam gave a drink to => Mary | John
+2 Then Amy and Paul had a weak lunch at school, and Paul gave a book to => Amy | Paul
-2 Then Amy and Paul had a lunch at school, and Ruth gave a book to => Amy | Paul
+ A broken prompt that the model does not know => the
+ This line is not closed => "x
- A prompt that stands alone [b]without markup[/b] => yes | no
"""


async def opened(recorded: Any, app: Any, pilot: Any, until: Any, host: Any) -> WriteScreen:
    examples = parse_pasted(TEXT)
    await host.tell(ExamplesSet(examples=examples, content_hash=content_hash(examples)))
    await until(lambda: app.state.session.examples.current == examples)
    await pilot.press("w")
    await until(lambda: isinstance(app.screen, WriteScreen) and len(app.screen.graded.grades) == 6)
    screen = app.screen
    assert isinstance(screen, WriteScreen)
    assert recorded
    return screen


async def test_write_wide(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see two bracketed pairs, verdicts at the right, one unread line with its reason, tokens of line 1."""
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        screen = await opened(recorded, app, pilot, until, host)
        await until(lambda: screen.proof.example is not None)
        screenshot(app)


async def test_write_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see the same in 24 lines: the list, the current line, its tokens, what to fix first."""
    host = recorded.host()
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await opened(recorded, app, pilot, until, host)
        screenshot(app)


async def test_write_edit_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see a line that is being typed, a block cursor at its end, and how many examples it is filled into."""
    host = recorded.host()
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        screen = await opened(recorded, app, pilot, until, host)
        await pilot.press("a")
        screen.edit.put("+ {who=Mary,John,Ann} went to the shop with {who#2} => home")
        await pilot.press("s")
        await until(lambda: len(screen.graded.grades) == 6 and screen.graded.saved)
        screenshot(app)


async def test_negatives_wide(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see five changed prompts, the word that went struck out, an arrow, the word that came underlined."""
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        await opened(recorded, app, pilot, until, host)
        await pilot.press("n")
        await until(lambda: isinstance(app.screen, NegativesScreen) and app.screen.list.found)
        screenshot(app)


async def test_tasks_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see nine ready-made tasks with what they ask; the chosen one offers 10 pairs."""
    host = recorded.host()
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await opened(recorded, app, pilot, until, host)
        await pilot.press("t", "down")
        await until(lambda: isinstance(app.screen, TaskPickerScreen) and app.screen.list.at == 1)
        screenshot(app)


async def test_files_small(recorded: Any, open_screen: Any, screenshot: Any, tmp_path: Path) -> None:
    """You should see a folder first, then files with their sizes; a name full of escapes is harmless."""
    here = tmp_path / "here"  # the person's own folder stands beside it
    (here / "folder").mkdir(parents=True)
    for name in ("ioi.jsonl", "own [b]lines.txt", "\x1b[31mred.csv"):
        (here / name).write_text(TEXT)
    host = recorded.host()
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await opened(recorded, app, pilot, until, host)
        picker = FilePickerScreen(app.state, "Examples from which file?", here, lambda _: None)
        app.push_screen(picker)
        await until(lambda: len(picker.names.entries) == 4)
        picker.names.border_title = "a folder"
        picker.path.put("a folder")
        await pilot.pause()
        screenshot(app)
