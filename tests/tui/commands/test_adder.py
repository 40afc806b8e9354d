"""The adder and its checkpoints from the command line, over a real host and worker."""

import json
from collections.abc import Callable
from typing import Any

from engine.catalog.checkpoints import checkpoints

QUICK = ("--nodes", "all", "--shuffles", "200", "-q", "--json")


def test_the_last_checkpoint_adds_and_an_early_one_says_that_it_cannot(at_home: Callable[..., Any]) -> None:
    ran = at_home("probe", "addition", "--model", "adder", "--name", "last", *QUICK)
    assert ran.code == 0, ran.err
    last = json.loads(ran.out)
    assert last["model"]["name"] == "adder"
    assert {example["verdict"] for example in last["grades"]} == {"ok"}
    ran = at_home("probe", "addition", "--model", "adder@250", "--name", "early", *QUICK)
    assert ran.code == 0, ran.err
    assert "adder@250 can do 8 of 144 pairs of addition" in ran.out + ran.err
    early = json.loads(ran.out)
    assert early["model"]["name"] == "adder@250"
    assert early["model"]["identity"] != last["model"]["identity"]
    ran = at_home("sql", "SELECT model, model_identity FROM runs ORDER BY model", "--json")
    assert [row["model_identity"] for row in json.loads(ran.out)["rows"]] == [
        last["model"]["identity"],
        early["model"]["identity"],
    ]
    ran = at_home("probe", "facts", "--model", "adder")
    assert (ran.code, "as single tokens" in ran.err) == (2, True)


def test_models_names_its_checkpoints(at_home: Callable[..., Any]) -> None:
    steps = [each.name for each in checkpoints("adder")]
    listed = {model["name"]: model for model in json.loads(at_home("models", "list", "--json").out)["models"]}
    assert listed["adder"]["checkpoints"] == steps
    assert listed["toy"]["checkpoints"] == []
    assert f"bundled, {len(steps)} checkpoints" in at_home("models", "list").out
    assert f"{', '.join(steps)}; adder@STEP" in at_home("models", "show", "adder").out
    one, other = (json.loads(at_home("models", "show", f"adder@{step}", "--json").out)["model"] for step in steps[:2])
    assert one["identity"] != other["identity"]
    ran = at_home("models", "show", "adder@7")
    assert (ran.code, "adder has no checkpoint '7'" in ran.err, "It has 0, 250" in ran.err) == (2, True, True)
