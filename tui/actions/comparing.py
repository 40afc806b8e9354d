"""What is done with other runs and with circuits."""

from tui.actions.action import Action

COMPARING: tuple[Action, ...] = (
    Action(
        id="difference",
        keys=("d",),
        title="Difference",
        tooltip="Subtract another run, a seed or a circuit from the grid; again: end it",
        group="Compare",
        short="diff",
    ),
    Action(
        id="end_difference",
        keys=("escape",),
        title="End the difference",
        tooltip="Show the run as it is again; where nothing is subtracted, take the marks away",
        group="Compare",
    ),
    Action(
        id="overlay",
        keys=("o",),
        title="Next overlay",
        tooltip="Lay the known circuit, each kept one, or none over the grid",
        group="Compare",
        short="overlay",
    ),
    Action(
        id="keep",
        keys=("K", "shift+k"),
        title="Keep the circuit",
        tooltip="Keep the heads inside the cut under a name",
        group="Compare",
    ),
    Action(
        id="circuits",
        keys=("C", "shift+c"),
        title="Kept circuits",
        tooltip="Union, intersection and difference of kept circuits; lay one over the grid, subtract or drop it",
        group="Compare",
    ),
    Action(
        id="verify",
        keys=("V", "shift+v"),
        title="Verify the run",
        tooltip="Do the run again from what is stored and say whether it comes out the same",
        group="Compare",
    ),
)
