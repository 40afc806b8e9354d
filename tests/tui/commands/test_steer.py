"""`headcode steer` over a real host and worker, on a model whose circuit was written by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.planted import PLANTED

QUICK = ("--steps", "5", "--shuffles", "0", "--seeds", "1", "-q")


def test_a_planted_head_answers_to_the_strength_and_others_do_not(at_home: Callable[..., Any], tmp_path: Path) -> None:
    assert at_home("probe", "planted-ioi", "--pairs", "4", "--name", "p", *QUICK).code == 0
    heads = PLANTED["planted-ioi"].circuit("ioi").heads
    mover, _, negative = (f"{layer}.{head}" for layer, head in sorted(heads)[-3:])

    def steered(*arguments: str) -> dict[str, Any]:
        ran = at_home("steer", "p/1", *arguments, "--json")
        assert ran.code == 0, ran.err
        found: dict[str, Any] = json.loads(ran.out)
        assert found["schema"] == "headcode.steer/1"
        return found

    rows = json.loads(at_home("sql", "SELECT prompt, expected FROM examples WHERE polarity = 'positive'", "--json").out)
    one = rows["rows"][0]
    other = next(row for row in rows["rows"] if row["expected"] != one["expected"])
    for name, row in (("toward", one), ("away", other)):
        (tmp_path / f"{name}.txt").write_text(f"{row['prompt']}\n")
    # On either prompt the mover writes the answer of that prompt: their difference is one answer less the other.
    question = f"{one['prompt']} => {one['expected'][0].strip()} | {other['expected'][0].strip()}"
    sets = ("--toward", str(tmp_path / "toward.txt"), "--away", str(tmp_path / "away.txt"), "--prompt", question)
    found = steered(
        *("--contrast", mover, "--strength", "-1,1", "--at", "last", "--random", "5", "--generate", "2"), *sets
    )
    assert (found["plan"]["nodes"], found["plan"]["where"], found["steered"]) == (
        [mover],
        "last",
        [len(found["tokens"]) - 1],
    )
    tried = 0
    for layer, head in ((3, head) for head in range(8)):
        node = f"{layer}.{head}"
        ran = at_home(
            *("steer", "p/1", "--contrast", node, "--strength", "-1,1", "--at", "last", "--random", "1", "--json"),
            *sets,
        )
        if (layer, head) not in heads and ran.code:
            assert "do not differ" in ran.err  # half of the other heads are silent
            continue
        tried += 1
        down, up = (point["effect"] for point in json.loads(ran.out)["points"])
        if (layer, head) not in heads:
            assert max(abs(down), abs(up)) < 1e-3  # the others write where nothing reads
        elif node == negative:
            assert up < -1 < 1 < down
        else:
            assert down < -1 < 1 < up
    assert tried > 4
    assert all(len(point["random"]) == 5 for point in found["points"])
    assert [text["strength"] for text in found["texts"]] == [-1.0, 0.0, 1.0]
    assert found["cached"] is True
    assert found["recorded_us"] is not None

    off = steered("--off", mover, "--with", "zero", "--note", "as written by hand")
    assert off["note"] == f"{off['what']}: as written by hand"
    notes = json.loads(at_home("sql", "SELECT layer || '.' || head AS node, text FROM notes", "--json").out)["rows"]
    assert notes == [{"node": mover, "text": off["note"]}]
    best = max(off["next_tokens"], key=lambda each: each["before"])
    assert best["after"] < best["before"] / 2
    alone = steered("--only", "circuit", "--prompt", "When Mary and John went, John gave it to => Mary | John")
    assert (alone["points"], alone["summary"]) == ([], None)

    sides = tmp_path / "toward.txt"
    sides.write_text("When Mary and John went, John gave it to\n")
    own = steered("--contrast", "0", "--toward", str(sides), "--strength", "1", "--random", "2", "--no-cost")
    assert own["plan"]["source"] == "stream"
    assert own["plan"]["toward"] == ["When Mary and John went, John gave it to"]

    strengths = "SELECT strength, effect, band_low, band_high FROM steerings WHERE number = 1 ORDER BY strength"
    rows = json.loads(at_home("sql", strengths, "--json").out)["rows"]
    assert [tuple(row.values()) for row in rows] == [
        (each["strength"], each["effect"], min(each["random"]), max(each["random"])) for each in found["points"]
    ]

    listed = json.loads(at_home("steer", "p/1", "--json").out)
    assert (listed["schema"], len(listed["steerings"])) == ("headcode.steerings/1", 4 + tried)
    assert listed["steerings"][0] == found
    ran = at_home("steer", "p/1")
    assert ran.out.count("\n") == 5 + tried
    again = at_home("steer", "p/1", "--recorded", "1")
    assert again.code == 0
    assert "difference of two sets in what" in again.out
    assert "as it is" in again.out
    assert "●" in again.out


def test_what_cannot_be_steered_is_named(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "planted-ioi", "--pairs", "4", "--name", "q", *QUICK).code == 0
    for arguments, named in (
        (("--code", "0.1"), "NODE:CODE"),
        (("--code", "9.9:1"), "9.9"),
        (("--code", "0.1:1", "--off", "0.1"), "exclude each other"),
        (("--code", "0.1:99999"), "99999"),
        (("--off", "0.1", "--strength", "2"), "no strength"),
        (("--code", "0.1:1", "--strength", "4..-4"), "below the first"),
        (("--code", "0.1:1", "--strength", "0"), "changes nothing"),
        (("--code", "0.1:1", "--at", "here"), "'here'"),
        (("--code", "0.1:1", "--control", "luck"), "'luck'"),
        (("--off", "0.1", "--toward", "x"), "--toward"),
        (("--only", "nobody"), "nobody"),
        (("--recorded", "1"), "--recorded 1"),
        (("--code", "0.1:1", "--generate", "99999"), "generate=99999"),
        (("--code", "0.1:1", "--example", "99"), "no example 99"),
        (("--code", "0.1:1", "--note", " "), "note is empty"),
        (("--note", "words"), "--note"),
        (("--code", "0.1:1", "--prompt", " "), "--prompt 1"),
    ):
        ran = at_home("steer", "q/1", *arguments)
        assert (ran.code, named in ran.err, "hint:" in ran.err) == (2, True, True), (arguments, ran.err)
        assert "measuring" not in ran.err, arguments
