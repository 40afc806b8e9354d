"""Examples and runs: what is asked of the model."""

from tui.actions.action import Action

RUNNING: tuple[Action, ...] = (
    Action(
        id="write",
        keys=("w",),
        title="Write examples",
        tooltip="Add, edit, pair, grade and import examples; have negatives proposed",
        group="Write",
        short="write",
    ),
    Action(
        id="run",
        keys=("r",),
        title="Run the probe",
        tooltip="Capture the heads, train the SAE, score every head; after a lost connection: try again",
        group="Run",
        short="run",
    ),
    Action(
        id="options",
        keys=("O", "shift+o"),
        title="Options of the next run",
        tooltip="Every option with its meaning, default and published value; presets; what the run will take",
        group="Run",
        short="options",
    ),
    Action(
        id="progress",
        keys=("i",),
        title="How the run goes",
        tooltip="Stages with the time left, losses seed by seed, heads whose codes move, and the runs that wait",
        group="Run",
    ),
    Action(
        id="stop",
        keys=("x",),
        title="Stop the run",
        tooltip="Ends the run and keeps what is done; pressed again, ends the engine itself",
        group="Run",
        short="stop",
    ),
    Action(
        id="cause",
        keys=("v",),
        title="Measure the cause",
        tooltip="What the heads of this run do to the answer, nothing trained again; once more: check its circuit",
        group="Run",
        short="cause",
    ),
    Action(
        id="backups",
        keys=("B", "shift+b"),
        title="Find backup heads",
        tooltip="Measure every other head with the circuit (or the marked heads) replaced: which ones take over",
        group="Run",
    ),
)
