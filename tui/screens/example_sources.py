"""Actions of the write screen that add or export examples: proposals, tasks, files, pasted text.

New examples go below the selected line, in one undo step.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.csv_format import read_csv
from engine.authoring.drafts import SlotPreview, preview_slots, text_of
from engine.authoring.text_format import format_of
from engine.errors import ExampleError, HeadcodeError
from engine.examples import Example
from sessions.protocol import TaskExamplesMade
from tui.screens.choice import ChoiceItem, ChoiceSheet
from tui.terminal.sanitize import clean
from tui.widgets.latest_worker import run_latest

if TYPE_CHECKING:
    from tui.screens.write import WriteScreen


def add_text(screen: "WriteScreen", text: str) -> None:
    """Add the examples in a text; invalid lines are kept as text. Asks before filling slots."""
    slots = preview_slots(text, after=screen.graded.examples)
    if slots is None:
        _add_text(screen, text)
        return

    def answered(chosen: str | None) -> None:
        if chosen is None:
            screen.say("Nothing was added.")
        else:
            _add_text(screen, text, fill=chosen == "fill")

    screen.app.push_screen(ChoiceSheet(f"{slots.words}: fill them?", _ways(screen, slots), empty=""), answered)


def _ways(screen: "WriteScreen", slots: SlotPreview) -> list[ChoiceItem]:
    lines = "the line as it is" if slots.lines == 1 else f"the {slots.lines:,} lines as they are"
    one = f"{screen.state.key('write:unfold')} fills a line later"
    return [
        ChoiceItem(id="fill", group="Slots", title=f"fill: {slots.examples:,} examples", detail="each prompt once"),
        ChoiceItem(id="keep", group="Slots", title=f"keep {lines}", detail=one),
    ]


def _add_text(screen: "WriteScreen", text: str, *, fill: bool = True) -> None:
    before = len(screen.graded.flaws)
    try:
        n = screen.graded.paste(text, fill=fill)
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")
    else:
        _added(screen, n, unread=len(screen.graded.flaws) - before, doubt=_doubt(text))


def _added(screen: "WriteScreen", n: int, *, unread: int = 0, doubt: str = "") -> None:
    """Show how many examples were added and how many are invalid."""
    if not n:
        screen.say("It contains no example. Expected lines: prompt => expected | foil.")
        return
    words = "1 example added" if n == 1 else f"{n:,} examples added"
    if unread > 0:
        words += f", {unread:,} not valid yet"
    screen.changed(f"{words}; {_undo(screen)} removes {'it' if n == 1 else 'them'}.{doubt}")


def _undo(screen: "WriteScreen") -> str:
    return screen.state.key("write:step.undo")


def propose_negatives(screen: "WriteScreen") -> None:
    """Propose minimal edits of the selected positive, or of the positive of its pair."""
    from tui.screens.negatives import NegativesScreen

    example, place = screen.graded.chosen, screen.graded.at
    if example is None or place in screen.graded.flaws:
        screen.say("Choose a positive first.")
        return
    if not example.positive:
        # Edits are made of the positive of the pair.
        place = next((i for i, each in enumerate(screen.graded.examples) if _pairs_with(each, example)), place)
        example = screen.graded.examples[place]
    if not example.positive:
        screen.say("Negatives are made from a positive: choose one.")
        return
    screen.app.push_screen(
        NegativesScreen(screen.graded, example, screen.graded.pair_for(place), partial(_accept, screen, place))
    )


def _accept(screen: "WriteScreen", place: int, negative: Example, edit: bool) -> None:
    """Add an accepted proposal below its positive, as its pair if it had none."""
    screen.graded.accept(place, negative)
    screen.changed(f"Negative added; {_undo(screen)} removes it.")
    if edit:
        screen.begin(text_of(negative), screen.graded.at)


def make_more(screen: "WriteScreen") -> None:
    """Add pairs made from existing ones."""
    run_latest(screen, "more", partial(_more, screen))


async def _more(screen: "WriteScreen") -> None:
    """Add pairs made from existing ones; only those that the model can do."""
    screen.say("The model grades pairs made from existing ones …")
    try:
        found = await screen.graded.more()
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")
        return
    if found.n:
        screen.changed(f"{found.words}; {_undo(screen)} removes {'it' if found.n == 1 else 'them'}{found.rest}.")
    else:
        screen.say(f"{found.words}{found.rest}.")


def choose_task(screen: "WriteScreen") -> None:
    """Add the examples of a ready-made task."""
    from tui.screens.task_picker import TaskPickerScreen

    screen.app.push_screen(
        TaskPickerScreen(screen.state, lambda task, pairs: screen.work("task", partial(_make, screen, task, pairs)))
    )


async def _make(screen: "WriteScreen", task: str, pairs: int) -> None:
    screen.say(f"The engine makes {pairs} pairs of {task} …")
    try:
        made = await screen.link.ask(screen.graded.order(task, pairs), TaskExamplesMade)
        _added(screen, screen.graded.add(made.examples))
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")


def choose_file(screen: "WriteScreen") -> None:
    """Add the examples of a file."""
    from tui.screens.file_picker import FilePickerScreen

    title = "Examples from which file? Lines, JSONL or CSV."
    screen.app.push_screen(FilePickerScreen(screen.state, title, Path.cwd(), partial(read, screen)))


def read(screen: "WriteScreen", path: Path) -> None:
    """Add the examples of this file."""
    screen.work("read", partial(_read_file, screen, path))


async def _read_file(screen: "WriteScreen", path: Path) -> None:
    """Read a file in a thread: a hanging network file or an open pipe must not block the keys."""
    screen.say(f"Reading {clean(path.name)} …")
    try:
        text = await asyncio.to_thread(_text_in, path)
        if path.suffix.lower() == ".csv":
            # Named as a table: read as lines, its cells would become prompts.
            _added(screen, screen.graded.add(read_csv(text, source=path.name)))
        else:
            add_text(screen, text)
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")


def choose_target(screen: "WriteScreen") -> None:
    """Write the examples to a file."""
    from tui.screens.file_picker import FilePickerScreen

    title = "Write the examples where? Format by suffix: .jsonl, .csv, or .txt for lines."
    screen.app.push_screen(
        FilePickerScreen(screen.state, title, Path.cwd(), partial(_store, screen), write="examples.jsonl")
    )


def _store(screen: "WriteScreen", path: Path) -> None:
    from tui.headless.write_examples import write_examples

    try:
        write_examples(path, screen.graded.examples)
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")
    else:
        screen.say(f"{len(screen.graded.examples)} examples written to {path}.")


def _pairs_with(each: Example, negative: Example) -> bool:
    return each.positive and each.pair is not None and each.pair == negative.pair


def _text_in(path: Path) -> str:
    """Return the text of a regular file. Raises ExampleError, also for pipes and devices."""
    from tui.headless.read_examples import read_text

    return read_text(str(path), plain=True)


def _doubt(text: str) -> str:
    """Return why a table was read as lines; empty if it was not."""
    if format_of(text) == "csv":
        try:
            read_csv(text, source="the table")
        except ExampleError as error:
            return f" Read as lines: {error.message}"
    return ""
