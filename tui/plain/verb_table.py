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
    _verb("status", "", "session, model, what goes on, what is looked at", "show_pane.grid", "reopen", "progress"),
    _verb("examples", "[N]", "the examples with their grades, or one of them whole", "show_pane.examples", "write"),
    _verb("add", "PROMPT => EXPECTED | FOIL", "write an example; + or - before it is its side", "write:add"),
    _verb("edit", "N PROMPT => EXPECTED", "write example N anew", "write:edit"),
    _verb("remove", "N", "take example N away; undo brings it back", "write:remove", also=("delete",)),
    _verb("include", "N", "leave example N out of runs, or take it in", "write:include"),
    _verb("flip", "N", "make a negative of a positive, or the other way round", "write:flip"),
    _verb("pair", "N", "make a pair with the neighbour on the other side, or part it", "write:pair"),
    _verb("duplicate", "N", "example N once more", "write:copy"),
    _verb("unfold", "N", "fill the slots of example N in every way", "write:unfold"),
    _verb("trim", "", "take the spaces off the ends of prompts whose grades say so", "write:trim"),
    _verb("move", "N up|down", "example N changes places with its neighbour", "write:move.up", "write:move.down"),
    _verb("negatives", "N", "minimal edits of positive N, each graded; accept K takes one", "write:negatives"),
    _verb("accept", "K", "add proposal K as the negative of its positive"),
    _verb(
        "more", "[N]", "make more pairs of those there are, each graded; alone: as many as are missing", "write:more"
    ),
    _verb("undo", "", "take the last change of the examples back", "write:step.undo"),
    _verb("redo", "", "make it again", "write:step.redo"),
    _verb("mend", "", "whether the set is worth running, and what to mend first", "write:mend"),
    _verb("take", "TASK [PAIRS]", "add the examples of a ready-made task", "write:take"),
    _verb("read", "FILE", "add the examples of a file: lines, JSONL or CSV", "write:read"),
    _verb("store", "FILE", "write the examples as .jsonl, .csv or lines", "write:store"),
    _verb("run", "", "run the probe on the examples", "run", "write:run"),
    _verb(
        "options",
        "[NAME VALUE]",
        "the options of the next run; with name and value: change one",
        *("options", "write:options", "write:position"),
    ),
    _verb("wait", "", "until nothing goes on any more"),
    _verb("stop", "", "stop the run and keep what is done; again: end the engine", "stop"),
    _verb("cause", "", "measure what the heads do to the answer; where that is known, say it", "cause"),
    _verb(
        "backups",
        "",
        "measure the other heads with the marked heads replaced, else with those inside the cut; cause says it",
        "backups",
    ),
    _verb("card", "", "how far to believe the run", "card"),
    _verb("heads", "[N|all]", "the best heads by the measure", "table", "ranking.next", "ranking.previous"),
    _verb(
        "head",
        "LAYER.HEAD",
        "everything about one head",
        *("jump", "close_up", "show_pane.head", "move.left", "move.right", "move.up", "move.down", "seed"),
    ),
    _verb(
        "measure",
        "[NAME]",
        "rank by another measure; alone: the next",
        "measure.next",
        "pick_measure",
        "measure.previous",
    ),
    _verb("cut", "N|more|fewer", "how many heads are the circuit", "cut.more", "cut.fewer"),
    _verb("edges", "[N]", "pairs of heads whose codes only positives carry together", "edges"),
    _verb("runs", "[NUMBER]", "the runs of the session; with a number: look at that one", "runs"),
    _verb(
        "mark",
        "1.3 2.6|layer N|circuit|none",
        "choose several heads: cause measures, keep keeps them; once more takes a mark away",
        *("mark", "mark_layer", "mark_circuit", "unmark"),
        *(f"mark_box.{way}" for way in ("left", "right", "up", "down")),
    ),
    _verb(
        "difference",
        "[N|NAME|end]",
        "subtract another run, a seed or a circuit; alone: what there is, or what is subtracted",
        *("difference", "end_difference", "circuits:less"),
    ),
    _verb(
        "overlay",
        "[NAME|known|none]",
        "lay a circuit over the heads; alone: the next",
        "overlay",
        "circuits:lay",
    ),
    _verb("keep", "NAME", "keep the marked heads, or those inside the cut, under a name", "keep"),
    _verb("circuits", "", "the circuits that are kept", "circuits"),
    _verb(
        "combine",
        "A + B [as NAME]",
        "keep the union of kept circuits, with & what they share, with - the first less the others",
        *(f"circuits:combine.{way}" for way in ("union", "intersection", "subtract")),
    ),
    _verb("drop", "NAME", "forget a kept circuit; the log keeps it", "circuits:drop"),
    _verb("verify", "", "do the run again and say whether it comes out the same", "verify"),
    _verb("note", "[head|run] TEXT", "keep a note on the session, the head or the run", "note.head", "note.run"),
    _verb("replay", "[N]", "what happened, each moment numbered; with N: how things stood then", "replay"),
    _verb("sessions", "[WORDS]", "all sessions, or those with the words", "sessions"),
    _verb("open", "SESSION", "go to another session: its name or id", "sessions:open"),
    _verb("settings", "[NAME VALUE]", "what can be set; with name and value: set it", "settings"),
    _verb("help", "[VERB]", "these verbs, or what one does", "keys", "palette", "tour", also=("?", "keys")),
    _verb("leave", "", "leave; a run goes on", "leave", also=("quit", "exit", "q")),
)
ELSEWHERE: Mapping[str, str] = {
    "copy": "headcode export RUN FILE.txt writes the grid",
    "theme": "there are no colours here",
    "next_pane": "there are no panes here; status, examples, heads and head say what they show",
    "next_pane.back": "there are no panes here; status, examples, heads and head say what they show",
    "signs": "head 1.3 says the q-value and the stability of one",
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
        raise NoSuchVerb(f"{word} is of the screen: {ELSEWHERE[word]}.")
    for action in ACTIONS:
        if word in action.keys or plain == action.title.lower():
            owner = next((verb for verb in VERBS if action.id in verb.actions), None)
            if owner is not None:
                return owner
            raise NoSuchVerb(f"{action.title} is of the screen: {ELSEWHERE.get(action.id, 'help lists what is here')}.")
    begun = [verb for verb in VERBS if plain and verb.name.startswith(plain)]
    if len(begun) == 1:
        return begun[0]
    names = [verb.name for verb in begun] or difflib.get_close_matches(plain, [verb.name for verb in VERBS], n=3)
    hint = f"Did you mean {' or '.join(names)}?" if names else "help lists the verbs."
    raise NoSuchVerb(f"there is no verb {word!r}. {hint}")


def verb_for(action: str) -> str:
    """Return the verb for an action, or the action's key on the screen if it has none."""
    return next((verb.name for verb in VERBS if action in verb.actions), "") or key_label(action)
