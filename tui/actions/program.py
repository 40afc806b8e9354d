"""Actions of the program, available on every screen."""

from tui.actions.action import Action

PROGRAM: tuple[Action, ...] = (
    Action(
        id="log",
        keys=("G", "shift+g"),
        title="Log",
        tooltip="Logs of host, worker and screen, with tracebacks; follows new lines",
        group="Program",
    ),
    Action(
        id="tour",
        keys=("f1",),
        title="Tour",
        tooltip="A one-minute tour of this screen",
        group="Program",
    ),
    Action(
        id="theme",
        keys=("ctrl+t",),
        title="Next theme",
        tooltip="Night, dusk, day, high contrast, your terminal's own; saved in the settings",
        group="Program",
    ),
    Action(
        id="settings",
        keys=("comma",),
        title="Settings",
        tooltip="Theme, colours, motion, host: each with its meaning and source; changes apply at once",
        group="Program",
    ),
    Action(
        id="palette",
        keys=("ctrl+p", "colon"),
        title="Command palette",
        tooltip="Find any action by name",
        group="Program",
    ),
    Action(
        id="keys",
        keys=("question_mark",),
        title="Keys",
        tooltip="This list",
        group="Program",
        short="keys",
    ),
    Action(
        id="reopen",
        keys=("ctrl+l",),
        title="Redraw",
        tooltip="Redraw the screen and reopen panes that failed",
        group="Program",
    ),
    Action(
        id="suspend",
        keys=("ctrl+z",),
        title="Suspend",
        tooltip="Return to the shell; `fg` resumes",
        group="Program",
    ),
    Action(
        id="leave",
        keys=("q", "ctrl+q"),
        title="Leave",
        tooltip="Quit; a run continues in the host and is shown again next time",
        group="Program",
        short="leave",
    ),
)
