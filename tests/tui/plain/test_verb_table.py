"""The plain workbench: every action of the screens has a verb or a reason, every verb does it or says why not."""

import io
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.events import TrainStep
from engine.machine.folders import find_folders
from sessions.comparison.comparison import ComparisonSide
from sessions.events import RunEnded, RunLabelled
from sessions.rows import ComparisonChoice, Marker
from tui.actions import ACTIONS
from tui.actions.registry import all_tables
from tui.plain.announcements import Announcements
from tui.plain.loop import run_plain
from tui.plain.verb_table import ELSEWHERE, VERBS, NoSuchVerb, find_verb
from tui.state.workbench_state import WorkbenchState

from ...run_parts import weak_card
from ..visits import whole

DRAWN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u2500-\u259f\u2800-\u28ff]")
"""Control characters, boxes, shades, braille."""
CARD = weak_card(advice=("write more",), above_chance=((3, 6),))


@pytest.fixture
def spoken(recorded: Any) -> Callable[..., Any]:
    async def speak(*lines: str, host: Any = None, until: str = "end") -> tuple[list[str], int, Any]:
        if host is None:
            host = recorded.host()
            host.add(*(whole(recorded, card=CARD) if until == "end" else recorded.events(until=until)))
        if host.script is None:
            host.script = recorded.events(until="queued")
        out = io.StringIO()
        typed = io.StringIO("".join(f"{line}\n" for line in lines))
        code = await run_plain(host.connect, session=None, model="toy", task="ioi", source=typed, out=out)
        assert not DRAWN.findall(out.getvalue())
        return out.getvalue().splitlines(), code, host

    return speak


def test_every_action_has_a_verb_or_says_where_to_turn() -> None:
    covered = {action for verb in VERBS for action in verb.actions}
    for action in ACTIONS:
        assert (action.id in covered) is not (action.id in ELSEWHERE), action.id
    # Of the write screen all that changes something; lines are chosen by their number here.
    write = {f"write:{action.id}" for action in all_tables()["write"]}
    chosen = {name for name in write if name.startswith("write:choose")} | {
        "write:close",
        "write:help",
        "write:palette",
    }
    assert write - covered - chosen == set()
    circuits = {f"circuits:{action.id}" for action in all_tables()["circuits"]}
    assert {name for name in circuits - covered if name.partition(":")[2].split(".")[0] not in ("walk", "mark")} <= {
        "circuits:close"
    }
    assert {name for name in covered if name.startswith("write:")} <= write
    # Of the drawing all that changes it or measures; files are written by headcode export.
    edges = {f"edges:{action.id}" for action in all_tables()["edges"]}
    moves = ("close", "step", "inside", "other", "save", "end", "pan")
    assert {name for name in edges - covered if name.partition(":")[2].split(".")[0] not in moves} == set()


def test_verbs_are_found_by_name_id_key_title_and_beginning() -> None:
    assert find_verb("heads").name == "heads"
    assert find_verb("measure.next").name == "measure"
    assert find_verb("r").name == "run"
    assert find_verb("sess").name == "sessions"
    assert find_verb("quit").name == "leave"
    with pytest.raises(NoSuchVerb, match="remove"):
        find_verb("remov_")
    assert find_verb("d").name == "difference"
    with pytest.raises(NoSuchVerb, match="headcode export"):
        find_verb("copy")


EFFECTS = {
    "status": ("status", "run 1: done."),
    "examples": ("examples", "1. positive, pair 0: "),
    "add": ("add + One two => three", "1 added; 1 examples"),
    "edit": ("edit 1 + Four => five", "1. positive: Four => five. ok"),
    "remove": ("remove 1", "removed; 0 examples"),
    "include": ("include 1", "disabled"),
    "flip": ("flip 1", "example 1 is negative now"),
    "pair": ("pair 1", "No neighbour on the other side is free"),
    "duplicate": ("duplicate 1", "duplicated; 2 examples"),
    "unfold": ("unfold 1", "has no slots"),
    "trim": ("trim", "no graded prompt needs trimming"),
    "move": ("move 1 down", "is at the end already"),
    "negatives": ("negatives 1", "nothing in this prompt can be replaced|accept 1 to|keeps the number of tokens"),
    "more": ("more", "There is no example yet|Nothing can be varied"),
    "accept": ("accept 1", "there is no proposal 1"),
    "undo": ("undo", "undone; 0 examples"),
    "redo": ("redo", "nothing"),
    "mend": ("mend", "not yet, no negative is among them"),
    "take": ("take ioi 2", "4 added"),
    "read": ("read nowhere.txt", "nowhere.txt"),
    "store": ("store", "give the name of a file"),
    "editor": ("editor", "it needs a terminal"),
    "run": ("run", "run 2: waiting for the engine"),
    "options": ("options", r"Recipe \(sae.recipe\): contrast\. "),
    "wait": ("wait", "idle"),
    "stop": ("stop", "nothing is running"),
    "cause": ("cause", "."),
    "backups": ("backups", "leaving|heads|run 1|session"),
    "card": ("card", "weak: few examples"),
    "specificity": ("specificity", "not specific to its task"),
    "heads": ("heads 3", "1. head 5.7: "),
    "head": ("head 3.6", "head 3.6 of run 1, rank"),
    "places": ("places m3", "example 1, base 3: .* -"),
    "grid": ("grid", r"attention, layer 5: -2 \S+ -5\.5"),
    "neurons": ("neurons m2", r"neuron 2: \+\.30; fires 2 at fires2 of example 1; raises up2; lowers down2"),
    "through": ("through 3.6", r"m5: -1\.4, error \.02"),
    "explain": ("explain 3.6 7", r"John \(A\) \| Mary: saliency 1; Paul Tom"),
    "families": ("families", r"3\.6:7 on 5\+ 0-, 3 codes, together \.60"),
    "atlas": ("atlas writes she", "there is no atlas of this model yet"),
    "off": ("off mean 1", r"John: 0\.125 #2 before, 0\.750 #1 after, \+0\.625"),
    "steer": ("steer contrast times 2 last example 1", r"strength -2: -\.20; random .*, outside"),
    "measure": ("measure overlap", "overlap: "),
    "cut": ("cut 3", "3 heads in the circuit: "),
    "edges": ("edges", "1. head 0.1 to head 2.3: 6.30"),
    "patch": ("patch", "measuring the 1 drawn edges exactly"),
    "pin": ("pin 2.3", "pinned: 2.3"),
    "group": ("group movers = 2.3 5.7", "movers: 2.3 5.7"),
    "runs": ("runs", "run 1: done, model toy"),
    "mark": ("mark 5.7 3.6", "marked: 5.7, 3.6. "),
    "difference": ("difference", "there is nothing to subtract yet"),
    "overlay": ("overlay", "no circuit is drawn over the heads"),
    "combine": ("combine a + b as c", "there is no circuit a"),
    "drop": ("drop nothing", "circuit nothing does not exist"),
    "replay": ("replay", "nothing has happened yet|replay 1 to"),
    "keep": ("keep the best", "saved 5 heads as the best"),
    "circuits": ("circuits", "no saved circuits"),
    "verify": ("verify", "run 1 verified: same"),
    "note": ("note", "no notes"),
    "sessions": ("sessions", "first light: model toy"),
    "open": ("open nowhere", "There is no session 'nowhere'"),
    "sweep": ("sweep births by accuracy", r"draw 2: checkpoint 0 \.\d+, .*checkpoint 1000 failed, checkpoint 1200 run"),
    "births": ("births births", r"0\.0 +came at step \d+ \(\d+ to \d+\), \d+ steps before the model could do the"),
    "settings": ("settings", "screen.theme: night"),
    "help": ("help cut", "cut N|more|fewer: "),
    "leave": ("leave", "left."),
}


def test_every_verb_is_tried() -> None:
    assert set(EFFECTS) == {verb.name for verb in VERBS}
    assert all(verb.meaning for verb in VERBS)


@pytest.mark.parametrize("name", EFFECTS)
async def test_every_verb_does_it_or_says_why_not(name: str, spoken: Any) -> None:
    typed, words = EFFECTS[name]
    before = (
        ["add + One two => three"]
        if EFFECTS[name][0].endswith(" 1") or name in ("edit", "undo", "mend", "move")
        else []
    )
    text, _code, _host = await spoken(*before, typed)
    text = text[text.index("session first light, model toy.") :]
    assert any(re.search(words, line) for line in text), text


async def test_the_atlas_is_read_and_says_nodes_and_searches(spoken: Any) -> None:
    text, _, host = await spoken("atlas read", "atlas 1.1", "atlas writes she", "atlas at -3", "atlas nonsense")
    assert [request.after for request in host.of_kind("ReadOn")] == [0, 400]
    lines = "\n".join(text)
    for words in (
        "1,000 of 1,000 tokens read.",
        "copying, copying 2.00: raises the logits of the tokens it attends to.",
        "something else on these prompts: attention to the first position: 0.10 on these prompts, 0.90",
        "copying 2.00, on these prompts 2.00: direct logit",
        "at the end of: The cat sat and; attends cat 0.75, The 0.20; raises she, he",
        "1 nodes: writes she.",
        "1.1 0.667, 2.50: copying, mostly at rest",
        "1.1 0.600: copying, mostly at rest",
    ):
        assert words in lines, (words, lines)
    assert any("atlas nonsense: read, a node" in line for line in text)


async def test_pairs_are_added_and_taken_back(spoken: Any) -> None:
    pair = ("add + Mary ran => so", "add - John ran => so", "pair 1")
    text, code, _ = await spoken(*pair, "more 2", "undo", "more", "mend", "more none")
    # 2 ** 10 labellings of eleven pairs are enough for 48 heads, 2 ** 9 are not.
    assert any(re.match(r"2 pairs added, of \d+ tried; 8 still missing .* of 48 .*; 6 examples", each) for each in text)
    assert text.count("1 pair; 10 more let one head of 48 reach significance: more adds them.") == 2
    (last,) = (place for place, each in enumerate(text) if each.startswith("10 pairs added, of "))
    assert "reach significance" not in "".join(text[last:])
    assert code == 2
    assert text[-2].startswith("error: more: give a number of pairs")


async def test_examples_without_pairs_are_added_in_equal_numbers(spoken: Any) -> None:
    text, _, _ = await spoken("add + Mary ran => so", "add - John ran => so", "more")
    # 14 examples are dealt out to two sides of 7 in 3,432 ways, 12 in 924; 960 are needed for 48 heads.
    assert "1 + 1 without pairs; 6 more of each let one head of 48 reach significance: more adds them." in text
    (last,) = (place for place, each in enumerate(text) if each.startswith("6 examples of each side added, of "))
    assert "; 14 examples." in text[last]
    assert "reach significance" not in "".join(text[last:])


async def test_what_changes_meanwhile_is_said_once(recorded: Any, spoken: Any) -> None:
    host = recorded.host()
    host.script = recorded.events()
    text, code, _ = await spoken("run", "wait", "heads 1", "leave", host=host)
    output = [line for line in text if line.startswith("run 1")]
    assert output[-1] == "run 1: done; heads lists its heads."
    assert len(output) == len(set(output))
    assert text[-1] == "left."
    assert code == 0


async def test_nonsense_is_told_and_makes_the_exit_code(spoken: Any) -> None:
    lines = (
        "foo",
        "head 99.1",
        "cut many",
        "measure nonsense",
        "examples 99",
        "runs 7",
        "settings theme puce",
        "\x1b[2J",
    )
    text, code, _ = await spoken(*lines)
    errors = [line for line in text if line.startswith("error: ")]
    assert len(errors) == len(lines)
    assert code == 2
    for words in (
        "there is no verb 'foo'",
        "99.1",
        "is not one of night",
    ):
        assert any(words in line for line in errors), words


async def test_a_run_is_named_tagged_and_shown_by_its_name(recorded: Any, spoken: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(), RunLabelled(name="first try", tags=("old",)), *recorded.events())
    lines = ("runs", "runs first try", "runs 2 name last try", "runs 2 tag +a -b", "runs 9 name x", "runs 2 nickname x")
    text, code, _ = await spoken(*lines, host=host)
    assert any(line.startswith("run 1: done") and "named first try, tag old" in line for line in text)
    assert "run 2: last try." in text
    assert "run 2: no name #a." in text
    asked = [(each.run, each.name, each.add, each.remove) for each in host.of_kind("LabelRun")]
    assert asked == [("run-2", "last try", (), ()), ("run-2", None, ("a",), ("b",))]
    refused = [line for line in text if line.startswith("error: ")]
    assert refused[0].startswith("error: there is no run 9 name x: ")
    assert refused[1].startswith("error: there is no run 2 nickname x: ")
    assert "they are 1 first try, 2." in refused[0]
    assert code == 2


async def test_another_run_and_a_circuit_are_subtracted(recorded: Any, spoken: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    nodes = tuple(
        msgspec.structs.replace(node, total_variation=node.total_variation / 2) for node in recorded.nodes(6, 8)
    )
    about: dict[str, Any] = {"n_layers": 6, "n_heads": 8, "kind": "run"}
    host.sides = {
        "r-9": ComparisonSide(reference="r-9", title="other [bold]/3", nodes=nodes, config=ProbeConfig(), **about),
        "r-8": ComparisonSide(reference="r-8", title="smaller", n_layers=2, n_heads=2, kind="run", nodes=nodes[:4]),
    }
    host.choices = (
        ComparisonChoice(reference="r-9", group="Runs", title="other [bold]/3", detail="toy · \x1b[31mred"),
        ComparisonChoice(reference="r-8", group="Runs", title="smaller", detail="toy"),
    )
    lines = ("difference", "difference 1", "difference", "difference end", "difference end", "d smaller", "d nothing")
    text, code, _ = await spoken(*lines, host=host)
    assert "1. Runs: other [bold]/3. toy · ␛[31mred" in text
    assert text.count("total variation: this run minus other [bold]/3.") == 2
    first = next(line for line in text if line.startswith("1. head 5.7: "))
    assert first == "1. head 5.7: +0.48, 0.96 here, 0.48 there"
    assert any(re.search(r"Spearman 1\.00", line) for line in text)
    assert "the difference is off." in text
    assert "nothing was subtracted." in text
    assert sum(line.startswith("error: ") for line in text) == 2
    assert code == 2


async def test_marked_heads_are_measured_and_kept_and_circuits_laid_over(spoken: Any) -> None:
    text, code, host = await spoken(
        *("mark 5.7, 0.1", "keep by hand", "cause", "backups", "mark layer 2", "mark none", "mark", "keep the best"),
        *("overlay by hand", "heads 1", "overlay none", "overlay", "combine by hand & the best as both", "drop both"),
    )
    assert "marked: 5.7, 0.1. " in "\n".join(text)
    assert host.of_kind("SaveCircuit")[0].heads == ((5, 7), (0, 1))
    assert len(host.of_kind("SaveCircuit")[1].heads) == 5
    assert host.of_kind("MeasureRunEffects")[0].heads == ((0, 1), (5, 7))
    gone = host.of_kind("MeasureRunEffects")[1]
    assert (gone.after, gone.after_name, gone.config.method) == (((0, 1), (5, 7)), "the marked heads", "exact")
    assert "by hand is drawn over the heads: 0.1, 5.7." in text
    assert any(line.startswith("the ranking finds them with AUC ") for line in text)
    assert "no head is marked any more." in text
    assert "no circuit is drawn over the heads." in text
    assert host.of_kind("CombineCircuits")[0].of == ("by hand", "the best")
    assert host.of_kind("CombineCircuits")[0].operation == "intersection"
    assert host.of_kind("DeleteCircuit")[0].name == "both"
    assert code == 0


async def test_marks_and_overlays_that_are_not_there_are_refused(spoken: Any) -> None:
    lines = ("mark 9.9", "mark layer 7", "mark nonsense", "overlay nothing", "combine a", "combine a + b - c", "drop")
    text, code, _ = await spoken(*lines)
    assert sum(line.startswith("error: ") for line in text) == len(lines)
    assert code == 2


async def test_options_of_the_next_run_are_changed(spoken: Any) -> None:
    lines = ("options sae.n_codes 64", "options codes (k) 80", "options position last", "run")
    text, code, host = await spoken(*lines, "options seeds many", "options nothing 3")
    assert "the next run: Codes (K) 80." in text
    config = host.of_kind("QueueRun")[0].config
    assert (config.sae.n_codes, config.position) == (80, "last")
    assert sum(line.startswith("error: ") for line in text) == 2
    assert code == 2


async def test_a_session_is_told_again(recorded: Any, spoken: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    run = host.entries[-1].run_id
    trains, ends = (
        next(entry.seq for entry in host.entries if isinstance(entry.event, kind)) for kind in (TrainStep, RunEnded)
    )
    host.markers = tuple(
        Marker(seq=seq, at_us=host.entries[seq - 1].at_us, kind="run", words=words, run_id=run, number=1)
        for seq, words in ((trains, "run 1 [b]trains"), (ends, "run 1 done"))
    )
    text, code, _ = await spoken("replay", "replay 1", "replay 2", "replay 3", host=host)
    assert any(re.fullmatch(r"1\. \d{4}-\d\d-\d\d [\d:]{8} UTC run 1 \[b\]trains", line) for line in text)
    assert "replay 1 to 2 shows the state then." in text
    at = [place for place, line in enumerate(text) if line.endswith(". then:")]
    assert len(at) == 2
    assert "run 1: running, train" in "\n".join(text[at[0] : at[1]])
    assert "run 1: done." in text[at[1] :]
    assert any(line.startswith("1. head 5.7: ") for line in text[at[1] :])
    assert text[-2] == "error: there is no moment 3: they are 1 to 2."
    assert code == 2


async def test_settings_are_kept(spoken: Any) -> None:
    text, code, _ = await spoken("settings screen.map cividis")
    assert code == 0
    assert 'map = "cividis"' in find_folders().settings.read_text()
    assert any(line.startswith("saved: screen.map is cividis") for line in text)


async def test_a_host_that_cannot_be_reached_ends_it(recorded: Any, spoken: Any) -> None:
    from sessions.errors import HostError

    host = recorded.host()
    host.refuse_connect = HostError("[/b]no host\x1b[2J", hint="start one")
    text, code, _ = await spoken("status", host=host)
    assert text[-1] == "error: [/b]no host␛[2J. start one"
    assert code == 4


async def test_the_worst_of_foreign_text_is_read_harmless(recorded: Any, spoken: Any) -> None:
    worst = "[/b]\x1b[2J\x1b]52;c;aGk=\x07\u202e\u200b\x9b31m"
    host = recorded.host(session=worst)
    host.add(*recorded.events())
    lines = [f"{verb} {worst}" for verb in (f"add + {worst} =>", "keep", "read", "open", "settings", worst)]
    text, _, _ = await spoken(*lines, "sessions", "note", host=host)
    assert not re.findall("[\x1b\x9b\u202e\u200b\x07]", "".join(text))


def test_what_is_refused_twice_is_told_twice() -> None:
    """In the same words; but once each, however often it is looked at."""
    state = WorkbenchState(model="toy", task="ioi")
    news = Announcements(state)
    news.lines()
    text = []
    for _ in range(3):
        state.failure = Failure(family="store", name="StoreFull", message="The disk is full.", hint="")
        text += [*news.lines(), *news.lines()]
    assert text == ["error: The disk is full."] * 3
