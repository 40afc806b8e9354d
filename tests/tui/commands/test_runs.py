"""`headcode runs`: list with what differs, name, tag; a name is accepted wherever a run is named."""

from collections.abc import Callable
from typing import Any

import msgspec

QUICK = ("--steps", "10", "--shuffles", "50", "--bootstraps", "4", "--nodes", "heads")


def test_runs_are_listed_named_and_tagged(at_home: Callable[..., Any], tmp_path: Any) -> None:
    assert "No matching run" in at_home("runs", "list").err
    assert at_home("probe", "ioi", "--name", "mine", "--pairs", "4", "--seeds", "1", *QUICK).code == 0
    assert at_home("probe", "--session", "mine", "--seeds", "2", *QUICK).code == 0
    table = at_home("runs", "list").out.splitlines()
    assert " ".join(table[0].split()) == "run state model examples took asked differs from the run before"
    assert table[1].startswith("mine/2  done   toy    4+4")
    assert table[1].endswith("seeds 1 -> 2")
    assert table[2].endswith("first")

    ran = at_home("runs", "name", "mine/2", "two seeds")
    assert (ran.code, ran.out.split()[:4]) == (0, ["run", "2", "two", "seeds"])
    assert at_home("runs", "tag", "two seeds", "+paper", "old").out == "run 2  #old #paper\n"
    assert at_home("runs", "tag", "mine/two seeds", "-old").out == "run 2  #paper\n"
    found = msgspec.json.decode(at_home("runs", "list", "mine", "--tag", "#Paper", "--json").out)
    assert found["schema"] == "headcode.runs/1"
    (row,) = found["runs"]
    assert (row["session"], row["name"], row["tags"], row["n_positive"]) == ("mine", "two seeds", ["paper"], 4)
    assert row["differs"] == "seeds 1 -> 2"
    row = msgspec.json.decode(at_home("runs", "name", "mine/1", "first", "--json").out)
    assert (row["schema"], row["run"]["name"]) == ("headcode.run_row/1", "first")

    shown = at_home("sessions", "show", "mine/two seeds").out.splitlines()
    assert " ".join(shown[1].split()) == "run name state asked model seeds tags id"
    assert at_home("sessions", "show", "first", "--json").code == 0
    assert at_home("compare", "first", "mine/two seeds").code == 0
    assert at_home("export", "mine/first", str(tmp_path / "heads.csv")).code == 0
    assert at_home("report", "two seeds", str(tmp_path / "two.md")).code == 0
    assert at_home("replay", "first", "--plain", "--speed", "max").code == 0
    assert at_home("sessions", "note", "mine/first", "a word").out.startswith("run 1  n")
    query = "SELECT number FROM runs WHERE list_contains(tags, 'paper')"
    assert at_home("sql", query).out.split()[:2] == ["number", "2"]

    for words, message in (
        (("name", "mine/1", "two seeds"), "Run 2 of this session is called 'two seeds'"),
        (("name", "mine/1", "12"), "A number alone"),
        (("name", "mine/9", "x"), "has no run 9"),
        (("name", "mine/nothing", "x"), "There is no run 'mine/nothing'"),
        (("tag", "mine/1", "-gone"), "Run 1 has no tag 'gone'"),
        (("list", "nowhere"), "There is no session 'nowhere'"),
    ):
        ran = at_home("runs", *words)
        assert (ran.code, ran.out, message in ran.err) == (2, "", True), (words, ran.err)
    assert at_home("sessions", "show", "mine/nothing").code == 2
