"""Several devices and device maps from the command line, on a machine without a GPU."""

import json
import re
import shutil
from collections.abc import Callable
from typing import Any

import pytest

QUICK = ("--pairs", "3", "--steps", "20", "--shuffles", "20", "--seeds", "2", "-q")
MAP = {
    "transformer.wte": "cpu",
    "transformer.wpe": "cpu",
    "transformer.h": "disk",
    "transformer.ln_f": "cpu",
    "lm_head": "cpu",
}

pytestmark = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU")


def test_devices_that_are_not_there_are_refused_by_plan_and_run(at_home: Callable[..., Any]) -> None:
    plan = at_home("probe", "ioi", "--dry-run", "--devices", "2")
    assert plan.code == 1
    assert "this machine has no CUDA device, only the CPU" in plan.out
    ran = at_home("probe", "ioi", "--devices", "2", *QUICK)
    assert ran.code == 2
    assert "--devices 2: this machine has no CUDA device, only the CPU" in ran.err
    assert "Use --device cpu" in ran.err


def test_weights_on_disk_are_planned_used_named_and_verified(at_home: Callable[..., Any], tmp_path: Any) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps(MAP))
    plan = json.loads(at_home("probe", "ioi", "--dry-run", "--json", "--device-map", str(file)).out)
    assert [device["name"] for device in plan["devices"]] == ["cpu", "disk"]
    assert plan["devices"][1]["n_bytes"] > 1_000_000
    cpu, disk = ({part["name"] for part in device["parts"]} for device in plan["devices"])
    assert disk == {"weights"}
    assert cpu == {"weights", "program", "read from disk", "activations", "SAE", "scores"}
    shown = at_home("probe", "ioi", "--dry-run", "--device-map", str(file)).out
    assert re.search(r"(?m)^ +cpu +weights .*, program .*, read from disk ", shown)
    assert re.search(r"(?m)^ +disk +weights ", shown)
    assert plan["fits"] is True
    assert "cpu needs" in plan["words"]

    assert at_home("probe", "ioi", "--name", "plain", *QUICK).code == 0
    ran = at_home("probe", "ioi", "--name", "off", "--device-map", str(file), "--cause", "combined", *QUICK)
    assert ran.code == 0, ran.err
    assert ", weights on disk" in ran.out
    verified = json.loads(at_home("verify", "off/1", "--json", "-q").out)
    assert (verified["verdict"], verified["environment"]) == ("same", [])
    sql = "SELECT session, node, total_variation FROM nodes JOIN runs USING (run_id) ORDER BY session, node"
    scores: dict[str, list[tuple[str, float]]] = {"off": [], "plain": []}
    for row in json.loads(at_home("sql", sql, "--json").out)["rows"]:
        scores[row["session"]].append((row["node"], row["total_variation"]))
    assert len(scores["off"]) == 37
    assert scores["off"] == scores["plain"]
