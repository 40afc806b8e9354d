"""The verbs of plain mode, with their arguments and the actions of the screens they replace."""

import difflib
from collections.abc import Mapping

import msgspec

from tui.actions import ACTIONS
from tui.actions.key_labels import key_label


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One command of plain mode, handled by the method `do_` plus its name."""

    name: str
    use: str
    """Its arguments."""
    meaning: str
    actions: tuple[str, ...] = ()
    """Ids of the actions it replaces; those of other screens with the table's name: write:add."""
    also: tuple[str, ...] = ()
    """Other names."""


def _verb(name: str, use: str, meaning: str, *actions: str, also: tuple[str, ...] = ()) -> Verb:
    return Verb(name=name, use=use, meaning=meaning, actions=actions, also=also)


VERBS: tuple[Verb, ...] = (
    _verb("status", "", "show the session, model, current work and view", "show_pane.grid", "reopen", "progress"),
    _verb("examples", "[N]", "list the examples with their grades, or show one in full", "show_pane.examples", "write"),
    _verb("add", "PROMPT => EXPECTED | FOIL", "add an example; + or - before it sets its side", "write:add"),
    _verb("edit", "N PROMPT => EXPECTED", "rewrite example N", "write:edit"),
    _verb("remove", "N", "remove example N; undo brings it back", "write:remove", also=("delete",)),
    _verb("include", "N", "disable example N, or enable it", "write:include"),
    _verb("flip", "N", "turn a positive into a negative, or back", "write:flip"),
    _verb("pair", "N", "pair it with the neighbour on the other side, or dissolve its pair", "write:pair"),
    _verb("duplicate", "N", "duplicate example N", "write:copy"),
    _verb("unfold", "N", "fill the slots of example N in every way", "write:unfold"),
    _verb("trim", "", "remove trailing spaces of prompts where the grades suggest it", "write:trim"),
    _verb("move", "N up|down", "swap example N with its neighbour", "write:move.up", "write:move.down"),
    _verb("negatives", "N", "propose minimal edits of positive N, graded; accept K adds one", "write:negatives"),
    _verb("accept", "K", "add proposal K as the negative of its positive"),
    _verb("more", "[N]", "add graded variations of the existing pairs; alone: as many as are missing", "write:more"),
    _verb("undo", "", "undo the last change of the examples", "write:step.undo"),
    _verb("redo", "", "redo it", "write:step.redo"),
    _verb("mend", "", "check whether the set is ready to run, and what to fix first", "write:mend"),
    _verb("take", "TASK [PAIRS]", "add the examples of a ready-made task", "write:take"),
    _verb("read", "FILE", "add the examples of a file: lines, JSONL or CSV", "write:read"),
    _verb("store", "FILE", "write the examples as .jsonl, .csv or lines", "write:store"),
    _verb("editor", "", "edit the examples in the program that VISUAL or EDITOR names", "write:outside"),
    _verb("run", "", "run the probe on the examples", "run", "write:run"),
    _verb(
        "options",
        "[NAME VALUE]",
        "the options of the next run; with name and value: change one",
        *("options", "write:options", "write:position"),
    ),
    _verb("wait", "", "wait until idle"),
    _verb("stop", "", "stop the run, keeping its results; again: end the engine", "stop"),
    _verb("cause", "", "measure the effects of the nodes on the answer, or show them", "cause"),
    _verb(
        "backups",
        "",
        "measure the other nodes with the marked ones, else the circuit, replaced; cause lists the result",
        "backups",
    ),
    _verb("card", "", "show the evidence of the run", "card"),
    _verb("specificity", "", "measure what other tasks lose without the circuit", "card:specificity"),
    _verb(
        "heads",
        "[N|all]",
        "list the best nodes by the measure",
        "table",
        "ranking.next",
        "ranking.previous",
        "ranking_first",
    ),
    _verb(
        "head",
        "LAYER.HEAD|mLAYER|emb",
        "show everything about one node",
        *("jump", "close_up", "show_pane.head", "move.left", "move.right", "move.up", "move.down", "seed"),
    ),
    _verb("places", "[NODE]", "the effect of a node at every token of the prompts alone", "mlp-page:walk.right"),
    _verb("grid", "", "the effects of stream, attention and MLPs at every layer and token alone", "stream_grid"),
    _verb("neurons", "[MLP]", "list the neurons of an MLP that matter most", "mlp-page:neuron.next"),
    _verb("through", "[NODE]", "list what a node does through each later node", "close-look:through"),
    _verb("explain", "[NODE] CODE", "what a code answers to, and how well that predicts it", "close-look:explain"),
    _verb("families", "[N]", "codes that occur on the same prompts; with N: so many families", "explanation:families"),
    _verb(
        "atlas",
        "[NODE|read|writes TOKENS|attends TOKENS|at -N|kind NAME]",
        "what a node does on ordinary text, and who writes or attends to tokens; read reads the text",
        *("atlas", "atlas:read", "atlas:search", "close-look:atlas"),
    ),
    _verb(
        "off",
        "[pair|mean|zero] [N]",
        "the next token of example N with the marked nodes, else the one at hand, turned off",
        "switch_off",
    ),
    _verb(
        "steer",
        "[code N|contrast|stream|off|only] [times S] [all|last|generated] [example N]",
        "steer by the node at hand: the answer before and after, the curve, new tokens; list: what is recorded",
        *("close-look:steer", "mlp-page:steer"),
    ),
    _verb(
        "measure",
        "[NAME]",
        "rank by another measure; alone: the next",
        "measure.next",
        "pick_measure",
        "measure.previous",
    ),
    _verb("cut", "N|more|fewer", "set the number of nodes in the circuit", "cut.more", "cut.fewer"),
    _verb(
        "edges",
        "[N|by codes|by attribution|by exact|from SHARE|draw N]",
        "list edges, strongest first; by, from and draw change what they weigh and which are drawn",
        *("edges", "edges:weigh", "edges:cut.fewer", "edges:cut.more", "edges:prune.on", "edges:prune.back"),
    ),
    _verb("patch", "", "measure the drawn edges by exact patching", "edges:patch"),
    _verb("pin", "[NODE]", "keep a node in the drawing, or release it; alone: list pinned nodes", "edges:pin"),
    _verb(
        "group",
        "[alike|NAME = 2.3 4.1|NAME as NEW|fold NAME|unfold NAME]",
        "list groups of nodes; alike: find nodes that behave alike; name nodes, rename a group, or draw it as one box",
        *("edges:group", "edges:name", "edges:alike", "edges:fold"),
    ),
    _verb(
        "runs",
        "[RUN [name NAME|tag +T -T]]",
        "list the runs of the session; with a number or name: show that one, or name or tag it",
        "runs",
    ),
    _verb(
        "mark",
        "1.3 2.6|layer N|circuit|none",
        "mark several nodes for cause and keep; marking again removes the mark",
        *("mark", "mark_layer", "mark_circuit", "unmark"),
        *(f"mark_box.{way}" for way in ("left", "right", "up", "down")),
    ),
    _verb(
        "difference",
        "[N|NAME|end]",
        "subtract another run, seed or circuit; alone: list them, or show the difference",
        *("difference", "end_difference", "circuits:less"),
    ),
    _verb(
        "overlay",
        "[NAME|known|none]",
        "draw a circuit over the nodes; alone: the next",
        "overlay",
        "circuits:lay",
    ),
    _verb("keep", "NAME", "save the marked nodes, or the circuit, under a name", "keep"),
    _verb("circuits", "", "list the saved circuits", "circuits"),
    _verb(
        "combine",
        "A + B [as NAME]",
        "save the union of saved circuits; with & the intersection, with - the first minus the others",
        *(f"circuits:combine.{way}" for way in ("union", "intersection", "subtract")),
    ),
    _verb("drop", "NAME", "remove a saved circuit; it stays in the log", "circuits:drop"),
    _verb("verify", "", "repeat the run and check that the results are the same", "verify"),
    _verb("note", "[head|run] TEXT", "write a note on the session, the node or the run", "note.head", "note.run"),
    _verb("replay", "[N]", "list the numbered moments of the session; with N: show its state then", "replay"),
    _verb("sessions", "[WORDS]", "list all sessions, or those with the words", "sessions"),
    _verb("open", "SESSION", "open another session by name or id", "sessions:open"),
    _verb(
        "sweep",
        "[SWEEP [by MEASURE [NODE]]|SWEEP retry|SWEEP stop|SWEEP log]",
        "list the sweeps; with a name: its table, workers, failures; retry runs again what failed; log: of all units",
        *("sweeps", "sweeps:open", "sweep:measure.next", "sweep:page.workers", "sweep:retry.failed", "sweep:stop"),
        "sweep:log",
    ),
    _verb("births", "SWEEP", "when each node came over the checkpoints of a sweep", "sweep:page.births"),
    _verb("settings", "[NAME VALUE]", "list the settings; with name and value: change one", "settings"),
    _verb("help", "[VERB]", "list the verbs, or explain one", "keys", "palette", "tour", also=("?", "keys")),
    _verb("leave", "", "leave; runs continue", "leave", also=("quit", "exit", "q")),
)
ELSEWHERE: Mapping[str, str] = {
    "copy": "headcode export RUN FILE.txt writes the grid, FILE.sh the command; headcode report RUN FILE.html a report",
    "theme": "there are no colours here",
    "next_pane": "there are no panes here; status, examples, heads and head show their contents",
    "next_pane.back": "there are no panes here; status, examples, heads and head show their contents",
    "jump_labels": "there is nothing to jump to here; head 1.3 shows that head",
    "side_by_side": "places NODE shows where one head matters; attention is drawn on the screen",
    "scatter": "there is no picture here; head and atlas say both numbers of one node",
    "signs": "head 1.3 shows the q-value and stability of one",
    "log": "headcode host log prints what host and worker logged",
    "suspend": "ctrl+z in the terminal does it",
}
"""Actions of the workbench without a verb, and what to use instead."""


class NoSuchVerb(Exception):
    """There is no such verb; the message suggests similar ones."""


def find_verb(word: str) -> Verb:
    """Find a verb by name, other name, an action's id, title or key, or a prefix. Raises NoSuchVerb."""
    plain = word.strip().lower()
    for verb in VERBS:
        if plain == verb.name or plain in verb.also or word in verb.actions:
            return verb
    if word in ELSEWHERE:
        raise NoSuchVerb(f"{word} works only on the screen: {ELSEWHERE[word]}.")
    for action in ACTIONS:
        if word in action.keys or plain == action.title.lower():
            owner = next((verb for verb in VERBS if action.id in verb.actions), None)
            if owner is not None:
                return owner
            raise NoSuchVerb(
                f"{action.title} works only on the screen: {ELSEWHERE.get(action.id, 'help lists what is here')}."
            )
    begun = [verb for verb in VERBS if plain and verb.name.startswith(plain)]
    if len(begun) == 1:
        return begun[0]
    names = [verb.name for verb in begun] or difflib.get_close_matches(plain, [verb.name for verb in VERBS], n=3)
    hint = f"Did you mean {' or '.join(names)}?" if names else "help lists the verbs."
    raise NoSuchVerb(f"there is no verb {word!r}. {hint}")


def verb_for(action: str) -> str:
    """Return the verb for an action, or the action's key on the screen if it has none."""
    return next((verb.name for verb in VERBS if action in verb.actions), "") or key_label(action)
