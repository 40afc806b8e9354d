"""`headcode examples` on a real host; an engine is needed by the last test alone."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import CreateSession, ExampleSet, GetExamples, GradeExamples, Grades, SessionAnswer

LINES = """{who} = Mary, John, Ann
+1 {who#1} and {who#2} met; {who#1} spoke to => {who#2} | {who#1}
-1 {who#1} and {who#2} met; {who#3} spoke to => {who#2} | {who#1}
+ bad => "
"""


@pytest.fixture
def session(headcode: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import shutil
    import tempfile

    assert headcode  # it gives every test a home of its own; a socket's path needs a short one
    home = tempfile.mkdtemp(prefix="hc-")
    monkeypatch.setenv("HEADCODE_HOME", home)

    async def create() -> None:
        async with await HostClient.connect(find_folders()) as client:
            await client.ask(CreateSession(name="mine", model="toy"), SessionAnswer)

    asyncio.run(create())
    yield "mine"
    asyncio.run(stop_host(find_folders()))
    shutil.rmtree(home)


def test_examples_go_in_and_out_and_back(headcode: Callable[..., Any], session: str, tmp_path: Path) -> None:
    empty = headcode("examples", "show", session)
    assert (empty.code, empty.out) == (0, "")
    assert "No examples yet" in empty.err

    taken = headcode("examples", "import", session, "-", stdin=LINES.encode())
    assert taken.code == 0, taken.err
    assert taken.out == "mine: 6 + 6 examples.\n"
    assert "13 examples, 1 of them cannot be read yet" in taken.err

    output = msgspec.json.decode(headcode("examples", "show", session, "--json").out)
    assert output["schema"] == "headcode.examples/1"
    assert output["examples"][0]["prompt"] == "Mary and John met; Mary spoke to"
    assert output["examples"][12]["flaw"] == 'A " is not closed.'

    for ending in ("jsonl", "csv", "txt"):
        file = tmp_path / f"out.{ending}"
        assert headcode("examples", "export", session, str(file)).code == 0
        again = headcode("examples", "export", session, str(file))
        assert again.code == 2
        assert "--force" in again.err
        before = headcode("examples", "show", session).out
        assert headcode("examples", "import", session, str(file), "--replace").code == 0
        if ending != "txt":  # lines do not say which are left out
            assert headcode("examples", "show", session).out == before
    assert headcode("examples", "export", session, "-", "--as", "pdf").code == 2

    shown = [headcode("examples", "show", session).out]
    while headcode("examples", "undo", session).code == 0:
        shown.append(headcode("examples", "show", session).out)
    assert shown[-1] == ""
    refused = headcode("examples", "undo", session)
    assert (refused.code, "nothing to undo" in refused.err) == (2, True)
    for before in reversed(shown[:-1]):
        assert headcode("examples", "redo", session).code == 0
        assert headcode("examples", "show", session).out == before


def test_stored_slots_are_counted_and_filled(headcode: Callable[..., Any], session: str, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text('{"prompt": "{a=x,y} of {b=1,2,3}", "polarity": "positive"}\n')
    assert headcode("examples", "import", session, str(file)).code == 0
    assert headcode("examples", "expand", session, "--count").out == "6\n"
    assert headcode("examples", "expand", session).out == "mine: 6 + 0 examples.\n"
    assert headcode("examples", "show", session).out.splitlines()[5] == "+ y of 3"
    assert headcode("examples", "undo", session).out == "mine: 1 + 0 examples.\n"


def test_the_count_is_told_before_slots_are_filled(headcode: Callable[..., Any], session: str, tmp_path: Path) -> None:
    file = tmp_path / "slots.txt"
    file.write_text(LINES)
    ran = headcode("examples", "import", session, str(file), "--keep-slots")
    assert "lines with slots expand to " in ran.err
    assert "; they are kept as they are." in ran.err
    assert "{who#1=Mary,John,Ann}" in headcode("examples", "show", session).out
    ran = headcode("examples", "import", session, str(file), "--replace")
    assert ran.err.index("2 lines with slots expand to 12 examples.") < ran.err.index("examples.\n")


def test_foreign_text_reaches_no_terminal(headcode: Callable[..., Any], session: str) -> None:
    line = "+ \x1b[31mred\x1b[0m \u202eback\x00 [b] => x\n"
    assert headcode("examples", "import", session, "-", stdin=line.encode()).code == 0
    shown = headcode("examples", "show", session).out
    assert not set(shown) & set("\x1b\x00\u202e")
    assert "\x1b[31mred" in msgspec.json.decode(headcode("examples", "export", session).out)["prompt"]


def test_an_unknown_session_and_a_missing_file_are_refused(headcode: Callable[..., Any], session: str) -> None:
    assert headcode("examples", "show", "nobody").code == 2
    assert headcode("examples", "import", session, "/nowhere/at/all.txt").code == 2
    assert headcode("examples", "import", session, "-", stdin=b"\n\n").code == 2


def test_a_session_begins_empty_or_with_a_file(headcode: Callable[..., Any], session: str, tmp_path: Path) -> None:
    assert session == "mine"
    assert headcode("examples", "new", "empty").out == "empty: 0 + 0 examples.\n"
    file = tmp_path / "some.txt"
    file.write_text("+ one side only => x\n")
    assert headcode("examples", "new", "filled", str(file), "--model", "toy").out == "filled: 1 + 0 examples.\n"
    output = msgspec.json.decode(headcode("examples", "new", "mine", "--json").out)
    assert output["session"]["name"] == "mine 2"
    assert headcode("examples", "new", "lost", "/nowhere/at/all").code == 2
    assert "lost" not in headcode("sessions", "list").out


OWN = """+1 When Mary and John went to the store, John gave a ring to => Mary | John
-1 When Mary and John went to the store, Adam gave a ring to => Mary | John
+2 Then Sarah and Mark went to the school. Sarah gave a ball to => Mark | Sarah
-2 Then Sarah and Mark went to the school. Emma gave a ball to => Mark | Sarah
"""


def test_a_set_that_is_too_small_grows_by_pairs_the_model_can_do(headcode: Callable[..., Any], session: str) -> None:
    assert headcode("examples", "import", session, "-", stdin=OWN.encode()).code == 0
    ran = headcode("examples", "more", session, "--json")
    assert ran.code == 0, ran.err
    output = msgspec.json.decode(ran.out)
    assert (output["schema"], output["added"], output["missing"]) == ("headcode.examples.more/1", 9, 0)
    assert (output["session"]["n_positive"], output["n_heads"]) == (11, 32)
    assert output["tried"] < 40

    async def grades() -> tuple[Any, Any]:
        async with await HostClient.connect(find_folders()) as client:
            examples = (await client.ask(GetExamples(session=session), ExampleSet)).examples
            return examples, (await client.ask(GradeExamples(session=session, examples=examples), Grades)).grades

    examples, graded = asyncio.run(grades())
    assert len({each.prompt for each in examples}) == len(examples) == 22
    new = list(zip(examples, graded, strict=True))[4:]
    assert {grade.verdict for each, grade in new if each.positive} == {"ok"}
    assert {grade.verdict for each, grade in new if not each.positive} <= {"ok", "weak"}
    lengths: dict[int, set[int]] = {}
    for each, grade in zip(examples, graded, strict=True):
        lengths.setdefault(each.pair, set()).add(grade.n_tokens)
    assert len(lengths) == 11
    assert all(len(both) == 1 for both in lengths.values())

    more = headcode("examples", "more", session)
    assert (more.code, more.out) == (0, "mine: 15 + 15 examples.\n")
    assert "4 pairs added, of " in more.err
    assert headcode("examples", "more", session, "--pairs", "2").out == "mine: 17 + 17 examples.\n"
    for left in (15, 11, 2):
        assert headcode("examples", "undo", session).out == f"mine: {left} + {left} examples.\n"


def test_what_cannot_be_varied_says_what_to_do(headcode: Callable[..., Any], session: str) -> None:
    empty = headcode("examples", "more", session)
    assert (empty.code, "no example yet" in empty.err) == (2, True)
    assert headcode("examples", "import", session, "-", stdin=b"+1 qwe rty => b\n-1 qwe uio => b\n").code == 0
    nothing = headcode("examples", "more", session)
    assert (nothing.code, "Nothing can be varied" in nothing.err, "template" in nothing.err) == (2, True, True)
    assert headcode("examples", "more", session, "--pairs", "0").code == 2


def test_no_pair_is_added_that_the_model_cannot_do(headcode: Callable[..., Any], session: str) -> None:
    lines = b"+1 Mary is => zebra | tiger\n-1 John is => zebra | tiger\n"
    assert headcode("examples", "import", session, "-", stdin=lines).code == 0
    ran = headcode("examples", "more", session, "--pairs", "1")
    assert (ran.code, ran.out) == (1, "mine: 1 + 1 examples.\n")
    assert re.search(r"Of \d+ pairs tried the model can do none; 10 still missing for one head of 32", ran.err)


def test_only_pairs_the_model_can_do_are_made_on_request(at_home: Callable[..., Any]) -> None:
    words = ("--steps", "5", "--shuffles", "0", "-q")
    ran = at_home("probe", "ioi", "--pairs", "10", "--task-seed", "2", "--usable", "--name", "mine", "--json", *words)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["reference"]  # it is still that task: its known circuit is held against it
    output = at_home("sql", "SELECT polarity, verdict FROM grades JOIN examples USING (run_id, example)", "--json")
    rows = json.loads(output.out)["rows"]
    assert len(rows) == 20
    assert {(row["polarity"], row["verdict"]) for row in rows} <= {
        ("positive", "ok"),
        ("negative", "ok"),
        ("negative", "weak"),
    }
    # The same pairs for a session of one's own.
    assert at_home("examples", "new", "own", "--model", "toy").code == 0
    assert at_home("examples", "make", "own", "ioi", "--pairs", "10", "--seed", "2", "--usable").code == 0
    assert at_home("examples", "export", "own").out == at_home("examples", "export", "mine").out
    for given in (("--session", "mine"), ("--again", "mine/1")):
        ran = at_home("probe", *given, "--usable")
        assert (ran.code, "--usable" in ran.err) == (2, True)
