"""Actions on sessions, copies, notes and replays."""

from tui.actions.action import Action

SAVING: tuple[Action, ...] = (
    Action(
        id="sessions",
        keys=("S", "shift+s"),
        title="Sessions",
        tooltip="All sessions: open, search, rename, tag, note, delete, restore",
        group="Keep",
        short="sessions",
    ),
    Action(
        id="copy",
        keys=("y",),
        title="Copy the grid",
        tooltip="As text, Markdown or SVG; the run as a command, Python script or report: to the clipboard or a file",
        group="Keep",
    ),
    Action(
        id="note.head",
        keys=("N", "shift+n"),
        argument="'head'",
        title="Note on this node",
        tooltip="Write or change a note on the node at the cursor; an empty line removes it",
        group="Keep",
        short="note",
    ),
    Action(
        id="note.run",
        keys=("ctrl+n",),
        argument="'run'",
        title="Note on this run",
        tooltip="Write or change a note on the run that is shown; an empty line removes it",
        group="Keep",
    ),
    Action(
        id="replay",
        keys=("p",),
        title="Replay",
        tooltip="Look back in this session's log, or play it from the start; needs no model",
        group="Replay",
        short="replay",
    ),
)
