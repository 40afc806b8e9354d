"""`headcode sweep` as a person and as a script use it, with a scripted worker."""

import asyncio
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host

SCRIPTED = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
AXES = ("--task", "ioi", "--seeds", "0..1", "--lambda", ".25,.5", "--pairs", "2")


@pytest.fixture
def sweep(headcode: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The command line, with a host whose workers are scripted."""
    places = find_folders()

    async def start() -> None:
        async with await HostClient.connect(places, command=[sys.executable, "-P", str(SCRIPTED)]):
            pass

    asyncio.run(start())
    yield lambda *words: headcode("sweep", *words)
    asyncio.run(stop_host(places))


def test_a_day_with_sweeps(sweep: Callable[..., Any], tmp_path: Path) -> None:
    planned = sweep(*AXES, "--name", "mine", "--dry-run")
    assert planned.code == 0
    assert "units    4" in planned.out
    assert "lambda   2: 0.25, 0.5" in planned.out
    assert "a worker" in planned.out
    assert "No sweeps yet" in sweep("list").err

    run = sweep(*AXES, "--name", "mine", "--workers", "2")
    assert (run.code, run.out) == (0, "mine: 4 of 4 units done\n")
    assert "mine: 4 units on 2 workers" in run.err
    again = sweep(*AXES, "--name", "mine")
    assert (again.code, again.out) == (0, "mine: 4 of 4 units done\n")
    assert "all 4 units are done already" in again.err
    assert "4 done already" in sweep(*AXES, "--name", "mine", "--dry-run").out

    shown = sweep("show", "mine").out.splitlines()
    assert shown[1].split() == ["task", "model", "lambda", "seeds", "state", "run", "seconds"]
    assert shown[2].split()[:5] == ["ioi", "toy", "0.25", "0", "done"]
    found = json.loads(sweep("show", "mine", "--json").out)
    assert list(found) == ["schema", "name", "id", "units", "done", "failed", "active", "rows"]
    assert (found["schema"], found["units"], found["done"]) == ("headcode.sweep/1", 4, 4)
    assert found["rows"][0]["labels"] == {"task": "ioi", "model": "toy", "lambda": "0.25", "seeds": "0"}
    assert {row["session"] for row in found["rows"]} == {"mine: ioi"}
    assert sweep("status", "mine").out.startswith("mine: 4 of 4 units done")
    assert "mine" in sweep("list").out
    assert json.loads(sweep("list", "--json").out)["sweeps"][0]["done"] == 4

    rows = list(csv.DictReader(io.StringIO(sweep("export", "mine", "-").out)))
    assert [row["seeds"] for row in rows] == ["0", "1", "0", "1"]
    assert {row["state"] for row in rows} == {"done"}
    goal = tmp_path / "units.json"
    assert sweep("export", "mine", str(goal)).code == 0
    assert len(json.loads(goal.read_text())["rows"]) == 4
    assert sweep("export", "mine", str(goal)).code == 2
    assert sweep("export", "mine", str(tmp_path / "units.parquet")).code == 0


def test_a_file_of_axes_names_its_sweep_and_options_go_first(sweep: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "examples.jsonl").write_text(
        '{"prompt": "a b", "polarity": "positive"}\n{"prompt": "a c", "polarity": "negative"}\n'
    )
    spec = tmp_path / "night run.toml"
    spec.write_text('examples = "examples.jsonl"\nseeds = "0..4"\ncodes = [50, 100]\n')
    found = json.loads(sweep(str(spec), "--seeds", "7,", "--dry-run", "--json").out)
    assert (found["name"], found["units"], found["workers"]) == ("night run", 2, min(2, found["workers"]))
    assert [row["labels"]["codes"] for row in found["rows"]] == ["50", "100"]
    assert {row["labels"]["seeds"] for row in found["rows"]} == {"7"}
    run = sweep(str(spec), "--seeds", "7,", "--quiet")
    assert (run.code, run.err) == (0, "")
    assert json.loads(sweep("show", "night run", "--json").out)["rows"][0]["session"] == "night run: examples.jsonl"


def test_units_that_fail_say_why_and_the_exit_code_says_so(sweep: Callable[..., Any]) -> None:
    run = sweep("--task", "ioi", "--model", "toy,broken", "--pairs", "2", "--name", "half")
    assert run.code == 1
    failure = "  task ioi, model broken: There is no model 'broken'."
    assert run.out.splitlines() == ["half: 1 of 2 units done, 1 failed", failure]
    assert failure in run.err
    logged = sweep("log", "half").out.splitlines()
    assert logged[0] == "== task ioi, model broken: failed"
    assert logged[1].startswith("--- half: run r")
    assert any(line.startswith("failed: There is no model 'broken'.") for line in logged)
    found = json.loads(sweep("log", "half", "broken", "--json").out)
    assert [(each["labels"]["model"], each["state"]) for each in found["logs"]] == [("broken", "failed")]
    assert found["logs"][0]["lines"][-1].startswith("failed: There is no model")
    assert sweep("log", "half", "model", "toy", "--failed").err == "No such log.\n"
    # Where the sweep was imported there are no logs, but it is known why units failed.
    for path in (find_folders().logs / "units").iterdir():
        path.unlink()
    logged = sweep("log", "half").out.splitlines()
    assert logged[0] == "== task ioi, model broken: failed"
    assert logged[1].startswith("--- run r")
    assert logged[1].endswith("(task ioi, model broken)")
    assert logged[2].startswith("failed: There is no model 'broken'.")
    assert len(logged) == 3
    retried = sweep("retry", "half", "--failed")
    assert retried.code == 1
    assert "half: 1 unit on 1 worker, 1 done already" in retried.err
    rows = json.loads(sweep("show", "half", "--json").out)["rows"]
    found = [(row["model"], row["state"], row["attempts"]) for row in rows]
    assert found == [("toy", "done", 1), ("broken", "failed", 2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--task", "ioi", "--seeds", "0..x"), "'x' is not a number"),
        (("nothing.toml",), "There is no specification 'nothing.toml'"),
        (("--task", "ioi", "--on", "moon"), "there is no such executor"),
        (("--examples", "-"), "stdin"),
        (("show", "nothing"), "There is no sweep 'nothing'"),
        (("--seeds", "0..3"), "needs examples"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_way_out(
    sweep: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    done = sweep(*words)
    assert said in done.err
    assert done.code == 2
    assert "hint" in done.err


def test_the_checkpoints_of_a_model_are_an_axis(sweep: Callable[..., Any]) -> None:
    words = ("--task", "addition", "--model", "adder", "--pairs", "4", "--dry-run", "--json")
    every = json.loads(sweep(*words, "--checkpoint", "all").out)["rows"]
    steps = [int(row["labels"]["checkpoint"]) for row in every]
    assert len(steps) > 10
    assert steps == sorted(steps)
    assert [row["model"] for row in every] == [f"adder@{step}" for step in steps]
    assert len({row["key"] for row in every}) == len(steps)
    some = json.loads(sweep(*words, "--checkpoint", f"0..{steps[3]}").out)["rows"]
    assert [row["model"] for row in some] == [row["model"] for row in every[:4]]
    assert [row["key"] for row in some] == [row["key"] for row in every[:4]]


def test_the_axes_of_its_help_are_the_options_of_a_run(headcode: Callable[..., Any]) -> None:
    from engine.planning.option_table import OPTIONS

    shown = headcode("sweep", "run", "--help").out
    assert all(option.flag.partition("/")[0] in shown for option in OPTIONS)
