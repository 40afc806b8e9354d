"""`headcode atlas` over a real host and worker: read, stopped and gone on with, shown, searched, deleted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.node_atlas import METRIC_NAMES
from sessions.protocol import AtlasProgress
from tui.commands.atlas import AtlasClock

from ..recorded import model_info


def test_an_atlas_is_read_shown_searched_and_deleted(at_home: Callable[..., Any], tmp_path: Path) -> None:
    ran = at_home("atlas", "toy", "--tokens", "1500", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["schema"], found["model"], found["corpus"]) == ("headcode.atlas/1", "toy", "toy")
    assert 1400 < found["tokens"] < 1700
    assert len(found["nodes"]) == 36
    head = found["nodes"][0]
    assert set(head["metrics"]) == set(METRIC_NAMES)
    assert len(head["top"]) == 6
    assert sum(each["share"] for each in head["attends"]) <= 1.3  # of two lists that overlap
    raised = head["top"][0]["raises"][0][0]

    again = at_home("atlas", "toy", "--tokens", "1500", "--json")
    assert json.loads(again.out)["seconds"] == found["seconds"]  # it was not read again
    ran = at_home("atlas", "toy", "--head", "0.0")
    assert ran.code == 0, ran.err
    assert "writes most" in ran.out
    ran = at_home("atlas", "toy", "--writes", raised.strip() or f"'{raised}'", "--json")
    assert "0.0" in {each["node"] for each in json.loads(ran.out)["found"]}
    ran = at_home("atlas", "toy", "--attends", "param")
    assert "nodes attend to 'param'" in ran.out

    text = tmp_path / "own.jsonl"
    text.write_text('{"text": "When Mary and John went to the park, John gave a book to Mary."}\n' * 40)
    ran = at_home("atlas", "toy", "--corpus", str(text), "--tokens", "300", "--sort", "induction", "--top", "3")
    assert ran.code == 0, ran.err
    assert "own.jsonl" in ran.out
    listed = json.loads(at_home("atlas", "--json").out)["atlases"]
    assert [each["corpus"] for each in listed] == ["own.jsonl", "toy"]
    assert at_home("atlas", listed[0]["key"][:8], "--delete").code == 0
    ran = at_home("sql", "SELECT count(*) FROM atlas_nodes", "--csv")
    assert ran.out.split() == ["count_star()", "36"]

    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    for words, named in (
        (("atlas", "toy", "--corpus", "nowhere.txt"), "nowhere.txt"),
        (("atlas", "toy", "--tokens", "5"), "5 tokens"),
        (("atlas", "./nomodel"), "nomodel"),
        (("atlas", "toy", "--corpus", str(bad)), "bad.jsonl, line 1"),
        (("atlas", "toy", "--sort", "nothing"), "nothing"),
        (("atlas", "toy", "--head", "9.9"), "9.9"),
        (("atlas", "toy", "--head", "m1", "--writes", "a"), "--head and --writes"),
        (("atlas", "toy", "--writes", ","), "--writes"),
        (("atlas", "toy", "--attends", ""), "--attends names no token"),
        (("atlas", "toy", "--tokens", "2000", "--delete"), "--tokens only for reading"),
        (("atlas", "toy", "--corpus", "toy", "--writes", "a"), "--corpus only for reading"),
        (("atlas", "--tokens", "2000"), "--tokens only for reading"),
        (("atlas", "gpt2", "--writes", "a"), "gpt2"),
        (("atlas", "--writes", "a"), "No model"),
    ):
        ran = at_home(*words)
        assert (ran.code, named in ran.err, "hint:" in ran.err) == (2, True, True), (words, ran.err)
        assert " tokens of " not in ran.err, words  # refused before it says what it will read


def test_the_time_left_is_told_from_the_second_part_on() -> None:
    now = iter((10.0, 12.0))
    clock = AtlasClock(lambda: next(now))

    def part(done: int, *, finished: bool = False) -> AtlasProgress:
        return AtlasProgress(model=model_info(2, 2), key="k", done=done, total=1000, finished=finished)

    assert clock.line(part(200)) == "  200 of 1,000 tokens"
    assert clock.line(part(600)) == "  600 of 1,000 tokens, 2 s left"
    assert clock.line(part(1000, finished=True)) == "read 1,000 tokens"
