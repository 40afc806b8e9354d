"""Edit the examples in the user's text editor, and take them back; a file that cannot be read is kept."""

from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.errors import HeadcodeError
from tui.headless.edited_file import file_of
from tui.headless.text_editor import edit_file, editor_command

if TYPE_CHECKING:
    from tui.screens.write import WriteScreen


def edit_outside(screen: "WriteScreen") -> None:
    """Open the examples in the editor that VISUAL or EDITOR names. The terminal belongs to it until it is left."""
    file, again = file_of(screen.state.session_id or ""), screen.state.key("write:outside")
    if screen.line.place is not None:
        screen.end_line()
    try:
        command = editor_command()
        path = file.begin(screen.graded.examples)
        with screen.app.suspend():
            code = edit_file(command, path)
    except SuspendNotSupported:
        file.drop()
        store, read = screen.state.key("write:store"), screen.state.key("write:read")
        screen.say(f"This terminal cannot be handed to another program: {store} writes a file, {read} reads it.")
        return
    except HeadcodeError as error:
        screen.say(f"{error.message} {error.hint}")
        return
    except OSError as error:
        screen.say(f"The editor could not be started: {error.strerror}.")
        return
    if code and not file.is_changed:
        file.drop()
        screen.say(f"The editor ended with code {code}; the file was not changed.")
        return
    if code:
        screen.say(f"The editor ended with code {code}: nothing was taken over. {again} opens {path} again.")
        return
    try:
        found = file.take()
    except (HeadcodeError, OSError) as error:
        words = error.message if isinstance(error, HeadcodeError) else str(error)
        screen.say(f"{words} {again} opens the file again: {path}. Nothing was taken over.")
        return
    if found is None:
        screen.say("The file was not changed.")
        return
    if not found:
        screen.say("The file has no examples: nothing was taken over.")
        return
    before = len(screen.graded.examples)
    screen.graded.change(lambda _: found)
    undo = screen.state.key("write:step.undo")
    screen.changed(f"{len(found)} examples taken over, {before} before; {undo} goes back.")
