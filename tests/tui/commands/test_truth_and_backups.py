"""Test that text, JSON and SQL agree on a run's reference and on backup heads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

QUICK = ("--steps", "5", "--shuffles", "0", "--seeds", "1", "--bootstraps", "5", "-q")
OWN = """
+ The river near the old bridge and the river again => near | again
- The river near the old bridge and the tower again => near | again
+ The stone under the cold water and the stone once => under | once
- The stone under the cold water and the cloud once => under | once
"""


def rows(at_home: Callable[..., Any], text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(at_home("sql", text, "--json").out)["rows"]
    return found


def test_own_examples_are_held_against_nothing_until_a_person_chooses(
    at_home: Callable[..., Any], tmp_path: Path
) -> None:
    own = tmp_path / "own.txt"
    own.write_text(OWN)
    assert at_home("probe", "ioi", "--pairs", "3", "--name", "s", *QUICK).code == 0
    ran = at_home("probe", str(own), "--session", "s", "--json", *QUICK)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["examples"]["task"] is found["reference"] is found["known_circuit"] is found["card"]["truth"] is None
    assert "AUC" not in " ".join(found["card"]["reasons"])

    ran = at_home("probe", "--session", "s", "--known", "ioi", "--json", *QUICK)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["reference"]["name"], found["reference"]["kind"]) == ("ioi, measured, chosen", "chosen")
    assert found["card"]["truth"] == "ioi, measured, chosen"

    output = rows(at_home, "SELECT number, task, reference, reference_kind FROM runs ORDER BY number")
    assert [tuple(row.values()) for row in output] == [
        (1, "ioi", "ioi, measured", "known"),
        (2, None, None, None),
        (3, None, "ioi, measured, chosen", "chosen"),
    ]
    assert at_home("probe", str(own), "--known", "nonsense").code == 2
    # All heads measured: that is the truth, in JSON, on the card and in the tables.
    ran = at_home("cause", "s/2", "--method", "exact", "--json", "-q")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["cause"][0]["why"]
    assert found["card"]["truth"] == "effects measured in this run"
    assert rows(at_home, "SELECT reference, reference_kind FROM runs WHERE number = 2") == [
        {"reference": "effects measured in this run", "reference_kind": "effects"}
    ]
    base = found["cause"][0]["base"]
    effects = [each for each in found["cause"][0]["effects"] if each["kind"] != "embedding"]
    movers = {each["node"] for each in effects if abs(each["effect"]) >= 0.05 * abs(base)}
    marked = rows(
        at_home, "SELECT node FROM nodes n JOIN runs r ON r.run_id = n.run_id WHERE r.number = 2 AND in_reference"
    )
    assert {row["node"] for row in marked} == movers


def test_backups_are_asked_for_by_circuit_name_or_heads(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "planted-ioi", "--pairs", "4", "--name", "p", *QUICK).code == 0
    ran = at_home("cause", "p/1", "--after", "circuit", "--json", "-q")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [each["method"] for each in found["cause"]] == ["exact", "backup"]
    exact, backup = found["cause"]
    circuit = rows(at_home, "SELECT node FROM nodes WHERE in_circuit")
    gone = {f"{layer}.{head}" for layer, head in backup["after"]}
    assert gone == {row["node"] for row in circuit}
    assert (len(exact["effects"]), len(backup["effects"])) == (37, 37 - len(gone))
    assert backup["after_name"] == "the run's circuit"
    alone = {(one["layer"], one["head"]): one["effect"] for one in exact["effects"]}
    assert all(one["alone"] == alone[one["layer"], one["head"]] for one in backup["effects"])
    dormant = found["card"]["dormant"]
    output = [
        [one["layer"], one["head"]]
        for one in backup["effects"]
        if abs(one["alone"]) < 0.05 * backup["base"] <= abs(one["effect"]) and abs(one["effect"]) >= 2 * one["error"]
    ]
    assert sorted(dormant) == sorted(output)

    assert at_home("circuits", "keep", "p/1", "two", "--heads", "0.1,1.1").code == 0
    ran = at_home("cause", "p/1", "--after", "two", "--heads", "3.4", "-q")
    assert ran.code == 0, ran.err
    assert "backups with two (2 heads) replaced" in ran.out
    ran = at_home("cause", "p/1", "--after", "0.1,1.1", "--heads", "3.5", "-q")
    assert "backups with two (2 heads) replaced" not in ran.out
    assert "backups with 0.1 1.1 (2 heads) replaced" in ran.out
    # One setting, whatever the circuit is called: what both found is put together.
    counted = (
        "SELECT list_sort(after) AS gone, count(*) AS n FROM causes WHERE method = 'backup' GROUP BY ALL ORDER BY n"
    )
    assert {"gone": ["0.1", "1.1"], "n": 2} in rows(at_home, counted)
    for words, why in (
        (("--after", "nobody"), "There is no circuit 'nobody'"),
        (("--after", " "), "is empty"),
        (("--after", "9.9"), "9.9"),
        (("--after", "circuit", "--method", "combined"), "needs --method exact"),
        (("--after", "0.1", "--heads", "0.1"), "in the circuit"),
    ):
        ran = at_home("cause", "p/1", *words, "-q")
        assert ran.code == 2, words
        assert why in ran.err
