"""Planted models on the command line: listed before they are built, asked for by one name."""

import json
from collections.abc import Callable
from typing import Any

from engine.planted import PLANTED
from tui.commands.probe import make_config, make_request


def test_they_are_listed_and_shown_before_they_are_built(headcode: Callable[..., Any]) -> None:
    listed = headcode("models", "list")
    assert listed.code == 0
    for name in PLANTED:
        line = next(line for line in listed.out.splitlines() if line.startswith(name))
        assert "built on first use" in line
    shown = headcode("models", "show", "planted-ioi")
    assert "headcode models fetch planted-ioi" in shown.out
    model = json.loads(headcode("models", "show", "planted-ioi", "--json").out)["model"]
    assert (model["n_layers"], model["n_heads"], model["identity"]) == (4, 8, None)


def test_a_planted_models_name_is_its_task_on_it() -> None:
    for name, planted in PLANTED.items():
        for model in (None, name):
            request = make_request(name, model=model, pairs=4, task_seed=None, config=make_config(), session=None)
            assert (request.model, request.task) == (name, planted.tasks[0])
    other = make_request("planted-ioi", model="toy", pairs=4, task_seed=None, config=make_config(), session=None)
    assert (other.model, other.task) == ("toy", "ioi")


def test_a_probe_of_one_knows_its_circuit(at_home: Callable[..., Any]) -> None:
    ran = at_home("probe", "planted-induction", "--pairs", "6", "--seeds", "1", "--cause", "combined", "--json", "-q")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    circuit = {tuple(head) for head in found["reference"]["heads"]}
    assert circuit == set(PLANTED["planted-induction"].circuit("induction").heads)
    combined = next(cause for cause in found["cause"] if cause["method"] == "combined")
    effects = {
        (each["layer"], each["head"]): abs(each["effect"]) for each in combined["effects"] if each["kind"] == "head"
    }
    assert set(sorted(effects, key=effects.__getitem__)[-len(circuit) :]) == circuit
    assert "built on first use" not in next(
        line for line in at_home("models", "list").out.splitlines() if line.startswith("planted-induction")
    )
