"""Actions that mark several nodes, and the symbols in their cells."""

from tui.actions.action import Action

MARKING: tuple[Action, ...] = (
    Action(
        id="mark",
        keys=("space",),
        title="Mark the node",
        tooltip="Select several nodes: effects, keep, copy and edges then use only the marked ones",
        group="Mark",
        short="mark",
    ),
    Action(
        id="mark_box.left",
        keys=("shift+left",),
        argument="0, -1",
        title="Mark to the left",
        tooltip="Draw a box of marked nodes; with the mouse: drag",
        group="Mark",
    ),
    Action(
        id="mark_box.down",
        keys=("shift+down",),
        argument="1, 0",
        title="Mark downwards",
        tooltip="Draw a box of marked nodes; with the mouse: drag",
        group="Mark",
    ),
    Action(
        id="mark_box.up",
        keys=("shift+up",),
        argument="-1, 0",
        title="Mark upwards",
        tooltip="Draw a box of marked nodes; with the mouse: drag",
        group="Mark",
    ),
    Action(
        id="mark_box.right",
        keys=("shift+right",),
        argument="0, 1",
        title="Mark to the right",
        tooltip="Draw a box of marked nodes; with the mouse: drag",
        group="Mark",
    ),
    Action(
        id="mark_layer",
        keys=("a",),
        title="Mark the layer",
        tooltip="All nodes of the cursor's layer; with the mouse: click its number",
        group="Mark",
    ),
    Action(
        id="mark_circuit",
        keys=("A", "shift+a"),
        title="Mark the circuit",
        tooltip="All nodes inside the cut",
        group="Mark",
    ),
    Action(
        id="unmark",
        keys=("u",),
        title="Clear the marks",
        tooltip="Unmark all nodes",
        group="Mark",
    ),
    Action(
        id="signs",
        keys=("g",),
        title="Significance and seeds in cells",
        tooltip="* q at most .05, ' at most .2; ● in every seed's circuit, ○ in half. Default: see settings",
        group="Look",
    ),
)
