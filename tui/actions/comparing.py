"""Actions that compare runs and work with circuits."""

from tui.actions.action import Action

COMPARING: tuple[Action, ...] = (
    Action(
        id="difference",
        keys=("d",),
        title="Difference",
        tooltip="Subtract another run, seed or circuit from the grid; again: end it",
        group="Compare",
        short="diff",
    ),
    Action(
        id="end_difference",
        keys=("escape",),
        title="End the difference",
        tooltip="Show the run itself again; if nothing is subtracted, clear the marks",
        group="Compare",
    ),
    Action(
        id="overlay",
        keys=("o",),
        title="Next overlay",
        tooltip="Overlay the known circuit, each kept one, or none on the grid",
        group="Compare",
        short="overlay",
    ),
    Action(
        id="keep",
        keys=("K", "shift+k"),
        title="Keep the circuit",
        tooltip="Keep the nodes inside the cut, or the marked ones, under a name",
        group="Compare",
    ),
    Action(
        id="circuits",
        keys=("C", "shift+c"),
        title="Saved circuits",
        tooltip="Union, intersection and difference of saved circuits; overlay, subtract or drop one",
        group="Compare",
    ),
    Action(
        id="verify",
        keys=("V", "shift+v"),
        title="Verify the run",
        tooltip="Repeat the run from stored data and compare the results",
        group="Compare",
    ),
)
