"""Actions of the write screen that edit the selected example or go to another one."""

from functools import partial
from typing import TYPE_CHECKING

from engine.errors import HeadcodeError

if TYPE_CHECKING:
    from tui.screens.write import WriteScreen


def step(screen: "WriteScreen", by: int) -> None:
    """Undo or redo a change."""
    screen.work("step", partial(_step, screen, by))


async def _step(screen: "WriteScreen", by: int) -> None:
    graded = screen.graded
    done = await graded.step(by)
    word = "undone" if by < 0 else "redone"
    if done:
        screen.rows.show_lines(graded.at, graded.at)
    failure, graded.failure = graded.failure, None
    screen.say(f"The change is {word}." if done or failure is None else failure.message)
    screen.grade()


def toggle(screen: "WriteScreen") -> None:
    """Disable the example, or enable it."""
    if screen.graded.chosen is not None:
        _changed_if(screen, screen.graded.toggle(screen.graded.at))


def flip(screen: "WriteScreen") -> None:
    """Turn a positive into a negative, or back."""
    if screen.graded.chosen is not None:
        _changed_if(screen, screen.graded.flip(screen.graded.at))


def _changed_if(screen: "WriteScreen", done: bool) -> None:
    """Redraw; say what is to be done first where the line cannot be read yet."""
    screen.changed("" if done else f"Fix the line first: {screen.state.key('write:edit')} edits it.")


def remove(screen: "WriteScreen") -> None:
    """Delete the line."""
    if screen.graded.chosen is not None:
        screen.graded.remove(screen.graded.at)
        screen.changed(f"Deleted; {screen.state.key('write:step.undo')} restores it.")


def copy(screen: "WriteScreen") -> None:
    """Insert a copy below."""
    if screen.graded.chosen is not None:
        screen.graded.copy(screen.graded.at)
        screen.changed()


def pair(screen: "WriteScreen") -> None:
    """Pair the line with a neighbour, or dissolve its pair."""
    if screen.graded.chosen is not None:
        screen.changed(screen.graded.pair(screen.graded.at))


def unfold(screen: "WriteScreen") -> None:
    """Fill the slots of the line in every way."""
    if screen.graded.chosen is None:
        return
    try:
        n = screen.graded.unfold(screen.graded.at)
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")
        return
    undo = screen.state.key("write:step.undo")
    screen.changed(f"{n} examples; {undo} removes them." if n else "No slots here: write {name=Mary,John} in a line.")


def trim(screen: "WriteScreen") -> None:
    """Remove trailing spaces of prompts where the grades suggest it."""
    n = screen.graded.trim()
    if n:
        screen.changed(f"Removed the space at the end of {n} {'prompt' if n == 1 else 'prompts'}.")
    else:
        screen.say("No graded prompt ends in a space that belongs to the answer.")


def go_to_fix(screen: "WriteScreen") -> None:
    """Select the line to fix first."""
    found = screen.graded.worth()
    if found.mend is not None:
        screen.rows.choose(found.mend)
    else:
        screen.say("Nothing to fix.")


def choose(screen: "WriteScreen", by: int) -> None:
    """Select the line that many lines further."""
    screen.rows.choose(screen.graded.at + by)


def move(screen: "WriteScreen", by: int) -> None:
    """Swap the line with its neighbour."""
    if screen.graded.chosen is not None and screen.graded.move(screen.graded.at, by):
        screen.changed()
