"""What belongs to the program, whatever screen is open."""

from tui.actions.action import Action

PROGRAM: tuple[Action, ...] = (
    Action(
        id="log",
        keys=("G", "shift+g"),
        title="Log",
        tooltip="What host, worker and screen logged, traces included; follows as they write",
        group="Program",
    ),
    Action(
        id="tour",
        keys=("f1",),
        title="Tour",
        tooltip="A minute around this screen",
        group="Program",
    ),
    Action(
        id="theme",
        keys=("ctrl+t",),
        title="Next theme",
        tooltip="Night, dusk, day, high contrast, your terminal's own; kept for the next time",
        group="Program",
    ),
    Action(
        id="settings",
        keys=("comma",),
        title="Settings",
        tooltip="Theme, colours, motion, what the host does: what each means, where it stands; changed at once",
        group="Program",
    ),
    Action(
        id="palette",
        keys=("ctrl+p", "colon"),
        title="Command palette",
        tooltip="Find any of these by name",
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
        title="Draw again",
        tooltip="Draws the screen anew and opens panes again that failed",
        group="Program",
    ),
    Action(
        id="suspend",
        keys=("ctrl+z",),
        title="Suspend",
        tooltip="Back to the shell; `fg` returns",
        group="Program",
    ),
    Action(
        id="leave",
        keys=("q", "ctrl+q"),
        title="Leave",
        tooltip="Close the screen; a run goes on and is here again next time",
        group="Program",
        short="leave",
    ),
)
