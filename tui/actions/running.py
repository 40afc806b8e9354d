"""Actions that write examples and start runs."""

from tui.actions.action import Action

RUNNING: tuple[Action, ...] = (
    Action(
        id="write",
        keys=("w",),
        title="Write examples",
        tooltip="Add, edit, pair, grade and import examples; propose negatives",
        group="Write",
        short="write",
    ),
    Action(
        id="run",
        keys=("r",),
        title="Run the probe",
        tooltip="Capture the nodes, train the SAE, score every node; after a lost connection: reconnect",
        group="Run",
        short="run",
    ),
    Action(
        id="options",
        keys=("O", "shift+o"),
        title="Options of the next run",
        tooltip="Every option with its meaning, default and published value; presets; time and memory needed",
        group="Run",
        short="options",
    ),
    Action(
        id="progress",
        keys=("i",),
        title="Progress of the run",
        tooltip="Stages with time left, losses per seed, nodes whose codes still change, and queued runs",
        group="Run",
    ),
    Action(
        id="stop",
        keys=("x",),
        title="Stop the run",
        tooltip="Stop the run and keep its results; press again to stop the engine",
        group="Run",
        short="stop",
    ),
    Action(
        id="cause",
        keys=("v",),
        title="Measure effects",
        tooltip="Effect of each node on the answer, without retraining; again: check the circuit",
        group="Run",
        short="cause",
    ),
    Action(
        id="backups",
        keys=("B", "shift+b"),
        title="Find backups",
        tooltip="Measure all other nodes while the circuit (or marked nodes) is replaced: which take over",
        group="Run",
    ),
)
