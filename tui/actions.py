"""The one table of what a person can do: it feeds the keys, the line at the bottom, the help and the palette."""

from collections.abc import Sequence

import msgspec


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do. The screen answers with a method named `action_` and the id; for Program, the application."""

    id: str
    keys: tuple[str, ...]
    """As Textual names them; the first is the one that is shown."""
    title: str
    tooltip: str
    group: str
    short: str = ""
    """Its word in the line at the bottom; empty: it is not there."""
    argument: str = ""
    """For actions that share a method: `show_pane` with the pane's name."""

    @property
    def call(self) -> str:
        name = f"{self.id.split('.')[0]}({self.argument})" if self.argument else self.id
        return f"app.{name}" if self.group == "Program" else name

    @property
    def key(self) -> str:
        return key_name(self.keys[0])


_NAMES = {
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "tab": "tab",
    "shift+tab": "shift+tab",
    "question_mark": "?",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "escape": "esc",
    "enter": "enter",
    "colon": ":",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "plus": "+",
    "minus": "-",
    "slash": "/",
    "full_stop": ".",
    "delete": "del",
}


def key_name(key: str) -> str:
    """A key as people write it."""
    return _NAMES.get(key, key)


ACTIONS: tuple[Action, ...] = (
    Action(
        id="write",
        keys=("w",),
        title="Write examples",
        tooltip="Add, edit, pair, grade and import examples; n proposes negatives",
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
    ),
    Action(
        id="card",
        keys=("b",),
        title="Believe it?",
        tooltip="The run's card: chance, stability, causes, what needs no SAE, and a verdict",
        group="Look",
    ),
    Action(
        id="measure.next",
        keys=("m",),
        argument="1",
        title="Next measure",
        tooltip="Colour and rank the heads by the next measure",
        group="Look",
        short="measure",
    ),
    Action(
        id="measure.previous",
        keys=("M", "shift+m"),
        argument="-1",
        title="Previous measure",
        tooltip="Colour and rank the heads by the measure before",
        group="Look",
    ),
    Action(
        id="cut.fewer",
        keys=("t",),
        argument="-1",
        title="Cut: fewer heads",
        tooltip="Take the weakest head out of the circuit",
        group="Look",
        short="cut",
    ),
    Action(
        id="cut.more",
        keys=("T", "shift+t"),
        argument="1",
        title="Cut: more heads",
        tooltip="Take the next head of the ranking into the circuit",
        group="Look",
    ),
    Action(
        id="seed",
        keys=("s",),
        title="Codes of the next seed",
        tooltip="Show the head's codes under the next seed of this run",
        group="Look",
        short="seed",
    ),
    Action(
        id="close_up",
        keys=("enter",),
        title="Look closely at the head",
        tooltip="Where it fires and attends on a prompt, token by token, and what its codes write",
        group="Look",
        short="closer",
    ),
    Action(
        id="edges",
        keys=("e",),
        title="Edges",
        tooltip="Pairs of heads whose codes only positives carry together: a list, and the circuit drawn by layers",
        group="Look",
        short="edges",
    ),
    Action(
        id="runs",
        keys=("R", "shift+r"),
        title="Runs of the session",
        tooltip="All runs side by side, each with a small grid; choose the one to look at",
        group="Look",
        short="runs",
    ),
    Action(
        id="table",
        keys=("L", "shift+l"),
        title="Table of heads",
        tooltip="Every head with every measure: sort, filter, write as CSV",
        group="Look",
        short="table",
    ),
    Action(
        id="pick_measure",
        keys=("full_stop",),
        title="Choose the measure",
        tooltip="Type part of a measure's name",
        group="Look",
    ),
    Action(
        id="jump",
        keys=("slash",),
        title="Jump to a head",
        tooltip="Type its layer and number: 9.6",
        group="Move",
        short="jump",
    ),
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
        tooltip="Show the run as it is again",
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
    Action(
        id="ranking.next",
        keys=("right_square_bracket",),
        argument="1",
        title="Next head of the ranking",
        tooltip="Move the cursor to the next weaker head",
        group="Move",
        short="ranking",
    ),
    Action(
        id="ranking.previous",
        keys=("left_square_bracket",),
        argument="-1",
        title="Previous head of the ranking",
        tooltip="Move the cursor to the next stronger head",
        group="Move",
    ),
    Action(
        id="move.left",
        keys=("left", "h"),
        argument="0, -1",
        title="Head to the left",
        tooltip="Move the cursor one head to the left",
        group="Move",
    ),
    Action(
        id="move.down",
        keys=("down", "j"),
        argument="1, 0",
        title="Layer below",
        tooltip="Move the cursor one layer down; in a list, the arrow moves in the list",
        group="Move",
    ),
    Action(
        id="move.up",
        keys=("up", "k"),
        argument="-1, 0",
        title="Layer above",
        tooltip="Move the cursor one layer up; in a list, the arrow moves in the list",
        group="Move",
    ),
    Action(
        id="move.right",
        keys=("right", "l"),
        argument="0, 1",
        title="Head to the right",
        tooltip="Move the cursor one head to the right",
        group="Move",
    ),
    Action(
        id="next_pane",
        keys=("tab",),
        argument="1",
        title="Next pane",
        tooltip="Go to the next pane",
        group="Panes",
        short="pane",
    ),
    Action(
        id="next_pane.back",
        keys=("shift+tab",),
        argument="-1",
        title="Previous pane",
        tooltip="Go to the pane before",
        group="Panes",
    ),
    Action(
        id="show_pane.examples",
        keys=("1",),
        argument="'examples'",
        title="Examples",
        tooltip="The prompts with their grades; arrows open one",
        group="Panes",
    ),
    Action(
        id="show_pane.grid",
        keys=("2",),
        argument="'grid'",
        title="Heads",
        tooltip="The grid: layers down, heads across",
        group="Panes",
    ),
    Action(
        id="show_pane.head",
        keys=("3",),
        argument="'head'",
        title="Head page",
        tooltip="Every measure of the head under the cursor, its codes and their prompts",
        group="Panes",
    ),
    Action(
        id="sessions",
        keys=("S", "shift+s"),
        title="Sessions",
        tooltip="All sessions: open, search, rename, tag, note, delete, bring back",
        group="Keep",
        short="sessions",
    ),
    Action(
        id="copy",
        keys=("y",),
        title="Copy the grid",
        tooltip="As text, Markdown or SVG, to the clipboard (OSC 52) or into a file",
        group="Keep",
    ),
    Action(
        id="note.head",
        keys=("N", "shift+n"),
        argument="'head'",
        title="Note on this head",
        tooltip="Write or change a note on the head at the cursor; an empty line removes it",
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
        tooltip="Play this session again from its record; needs no model",
        group="Replay",
        short="replay",
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
        tooltip="Night, dusk, day, high contrast; kept for the next time",
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


def actions_of(program: object) -> Sequence[Action]:
    """The table under the keys this program's person chose."""
    found: Sequence[Action] = getattr(program, "actions", ACTIONS)
    return found


def sheet_actions(group: str, *rows: tuple[str, str, str, str, str, str]) -> tuple[Action, ...]:
    """The table of a screen over the workbench: id, argument, keys, title, tooltip and short word of each action."""
    return tuple(
        Action(
            id=name,
            argument=argument,
            keys=tuple(keys.split(",")),
            title=title,
            tooltip=tooltip,
            group=group,
            short=short,
        )
        for name, argument, keys, title, tooltip, short in rows
    )
