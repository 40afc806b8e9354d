"""`headcode bench circuits`: real runs on the bundled model, resumed, shown again, refused where nothing fits."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.analysis.benchmark import MEASURED, BenchmarkRow, measure_names
from engine.analysis.ranking_metrics import QUALITIES
from engine.catalog.local_models import bundled_folder
from engine.catalog.planted_models import PLANTED
from engine.measures import DEFAULT_MEASURE
from engine.nodes import NodeLayout

COMMAND = (sys.executable, "-m", "tui.cli")
SMALL = ("bench", "circuits", "--models", "toy", "--examples", "3", "--recipe", "contrast", "--seeds", "2")


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a bench, every field with its type."""

    schema: str
    session: str
    session_id: str
    runs_done: int
    runs: int
    left_out: list[dict[str, str | None]]
    rows: list[BenchmarkRow]
    reported: list[dict[str, str | float | None]]


@pytest.fixture(scope="module")
def home() -> Iterator[dict[str, str]]:
    """An installation with a host of its own; its path is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="hc-")
    no_hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": f"{folder}/hub"}
    environment = {**os.environ, "HEADCODE_HOME": folder, "OMP_NUM_THREADS": "1", **no_hub}
    yield environment
    subprocess.run([*COMMAND, "host", "stop"], env=environment, check=True, capture_output=True, timeout=600)
    shutil.rmtree(folder, ignore_errors=True)


def headcode(home: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=home, capture_output=True, text=True, timeout=600, check=False)


def answer(ran: subprocess.CompletedProcess[str]) -> _Answer:
    assert ran.returncode == 0, ran.stderr
    return msgspec.json.decode(ran.stdout, type=_Answer)


def n_runs(home: dict[str, str], session: str) -> int:
    shown = headcode(home, "sessions", "show", session, "--json")
    assert shown.returncode == 0, shown.stderr
    return len(msgspec.json.decode(shown.stdout)["runs"])


def test_measures_are_judged_and_the_bench_is_kept_and_not_run_twice(home: dict[str, str]) -> None:
    words = (*SMALL, "--tasks", "docstring,induction", "--json")
    ran = headcode(home, *words)
    output = answer(ran)
    assert output.schema == "headcode.bench-circuits/1"
    assert (output.runs_done, output.runs, output.left_out) == (4, 4, [])
    assert ran.stderr.count(" AUC ") == 4
    heads = [row for row in output.rows if row.level == "heads"]
    assert {row.task for row in heads} == {"docstring", "induction"}
    # Every measure of the engine's table is there; the table, not this test, says which they are.
    assert {row.measure for row in heads} == {
        "random" if measure.id == "baseline_random" else measure.id for measure in MEASURED
    }
    for row in output.rows:
        assert (row.model, row.examples, row.draws) == ("toy", 3, 2)
        assert row.spread == row.spreads["auc"]
        assert all(0 <= getattr(row, name) <= 1 for name in QUALITIES)
        assert row.recipe == ("contrast" if row.measure in ("unique_positive", "combined") else row.recipe)
        if row.level == "heads":
            assert (row.cut, row.n_all) == (0.05, 32)
    by_name = {(row.task, row.measure): row for row in heads}
    assert by_name["induction", "combined"].auc > 0.95 > by_name["induction", "random"].auc
    assert by_name["induction", "combined"].seconds > by_name["induction", "attribution"].seconds > 0
    assert by_name["induction", "random"].recipe == by_name["induction", "attribution"].recipe == "none"

    again = headcode(home, *words)
    assert "All 4 runs were already done" in again.stderr
    assert again.stdout == ran.stdout
    assert n_runs(home, output.session) == 4
    listed = msgspec.json.decode(headcode(home, "sessions", "list", "--tag", "bench", "--json").stdout)
    assert [row["name"] for row in listed["sessions"]] == [output.session]
    shown = headcode(home, "bench", "circuits", "--show", output.session)
    assert shown.returncode == 0, shown.stderr
    assert "AUC for finding heads with an effect of at least 5% of the base; 2 draws of 3 + 3" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert headcode(home, "bench", "circuits", "--show", output.session, "--json").stdout == ran.stdout
    note = headcode(home, "sessions", "show", output.session).stdout
    assert "Bench of circuits, 4 runs" in note

    more = answer(headcode(home, *words, "--seeds", "3", "--name", output.session))
    assert (more.runs_done, n_runs(home, output.session)) == (6, 6)
    few = answer(headcode(home, *words, "--measures", "paired_flips,baseline_random", "--name", output.session))
    assert {row.measure for row in few.rows} <= {"paired_flips", "random"}
    assert n_runs(home, output.session) == 6


def test_models_are_loaded_as_asked_and_precisions_are_not_mixed(home: dict[str, str]) -> None:
    words = (
        *SMALL,
        "--tasks",
        "induction",
        "--seeds",
        "1",
        "--measures",
        "attribution",
        "--name",
        "precisions",
        "--json",
    )
    whole = answer(headcode(home, *words))
    assert {row.dtype for row in whole.rows} == {"float32"}
    ran = headcode(home, *words, "--dtype", "bfloat16")
    half = answer(ran)
    assert "draw 0, bfloat16: " in ran.stderr
    assert {row.dtype for row in half.rows} == {"bfloat16"}
    assert n_runs(home, "precisions") == 2
    assert answer(headcode(home, *words, "--dtype", "bfloat16")).rows == half.rows
    assert n_runs(home, "precisions") == 2
    shown = headcode(home, "bench", "circuits", "--show", "precisions", "--measures", "attribution").stdout
    titles = [line for line in shown.splitlines() if line.startswith("toy, heads: ")]
    assert [title.rpartition("; ")[2] for title in titles] == ["float32", "bfloat16"]

    # Where its weights lie does not change what a model computes, so it is the same request.
    placed = headcode(home, *words, "--fresh", "--name", "placed", "--device-map", '{"": "disk"}')
    assert [(row.measure, row.auc) for row in answer(placed).rows] == [(row.measure, row.auc) for row in whole.rows]

    for given, message in (
        (("--dtype", "int4"), "dtype='int4' does not exist"),
        (("--devices", "2"), "CUDA"),
        (("--device-map", '{"": "moon"}'), "moon"),
    ):
        refused = headcode(home, *words, "--fresh", *given)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_a_killed_bench_goes_on_where_it_was(home: dict[str, str]) -> None:
    words = (*SMALL, "--tasks", "ioi,docstring,induction", "--name", "killed")
    begun = subprocess.Popen([*COMMAND, *words], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert begun.stderr is not None
    line = begun.stderr.readline()
    begun.send_signal(signal.SIGKILL)
    begun.communicate(timeout=600)
    assert line.startswith(f"[1/6] toy ioi, contrast, 3 + 3, draw 0: AUC {DEFAULT_MEASURE.title} ")
    ran = headcode(home, *words, "--json")
    output = answer(ran)
    assert (output.runs_done, output.runs) == (6, 6)
    assert "[1/6]" not in ran.stderr  # what was done was not done again,
    assert n_runs(home, "killed") == 6  # nor what the host went on with alone


def test_ctrl_c_keeps_what_is_done_and_prints_it(home: dict[str, str]) -> None:
    words = (*SMALL, "--tasks", "ioi,docstring,induction", "--name", "stopped", "--json", "--seeds", "5")
    begun = subprocess.Popen([*COMMAND, *words], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert begun.stderr is not None
    begun.stderr.readline()
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=600)
    assert begun.returncode == 130, err
    output = msgspec.json.decode(out, type=_Answer)
    assert 1 <= output.runs_done < output.runs == 15
    assert {row.task for row in output.rows} >= {"ioi"}
    assert f"Stopped with {output.runs_done} of 15 runs done" in err
    assert "headcode: Stopped by the user." in err


def test_a_second_ctrl_c_leaves_at_once_and_the_bench_goes_on_later(home: dict[str, str]) -> None:
    words = (*SMALL, "--tasks", "ioi,docstring", "--name", "left at once", "--recipe", "published")
    begun = subprocess.Popen([*COMMAND, *words], env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert begun.stderr is not None
    begun.stderr.readline()
    begun.send_signal(signal.SIGINT)
    begun.send_signal(signal.SIGINT)
    _, err = begun.communicate(timeout=600)
    assert begun.returncode == 130, err
    assert "Traceback" not in err
    output = answer(headcode(home, *words, "--json"))
    assert (output.runs_done, output.runs) == (4, 4)
    shown = headcode(home, "bench", "circuits", *words[2:])
    assert "--show 'left at once'" in shown.stderr


def test_edges_of_planted_circuits_are_judged_over_all_pairs_of_heads(home: dict[str, str]) -> None:
    words = ("--models", "planted-distractors", "--tasks", "ioi", "--examples", "5", "--seeds", "1")
    output = answer(headcode(home, "bench", "circuits", *words, "--recipe", "contrast", "--json", "-q"))
    edges = {row.measure: row for row in output.rows if row.level == "edges"}
    assert {"edge_score", "attribution", "baseline_mean_difference", "random"} <= set(edges)
    assert {(row.n_true, row.n_all, row.cut) for row in edges.values()} == {(10, 8 * 8 * 28, None)}
    assert edges["attribution"].auc > 0.99 > edges["random"].auc
    assert edges["attribution"].spread is None
    heads = {row.measure: row for row in output.rows if row.level == "heads"}
    assert heads["combined"].auc == heads["combined"].f1 == 1


def test_effects_are_measured_on_the_runs_there_are(home: dict[str, str]) -> None:
    words = ("bench", "circuits", "--models", "planted-distractors", "--tasks", "induction", "--examples", "6")
    words = (*words, "--seeds", "1", "--recipe", "contrast", "--name", "later", "--json", "-q")
    plain = answer(headcode(home, *words, "--measures", "paired_flips"))
    assert {row.measure for row in plain.rows} == {"paired_flips"}
    asked = answer(headcode(home, *words, "--measures", "combined,exact_effect,paired_flips"))
    heads = {row.measure: row for row in asked.rows if row.level == "heads"}
    assert set(heads) == {"combined", "exact_effect", "paired_flips"}
    assert heads["exact_effect"].auc == 1
    assert heads["paired_flips"] == next(row for row in plain.rows if row.level == "heads")
    assert n_runs(home, "later") == 1
    again = answer(headcode(home, *words, "--measures", "combined,exact_effect,paired_flips"))
    assert again.rows == asked.rows


def test_the_level_says_what_is_judged(home: dict[str, str]) -> None:
    words = ("--models", "planted-lookup", "--tasks", "induction", "--examples", "6", "--seeds", "1")
    words = ("bench", "circuits", *words, "--recipe", "contrast", "--measures", "total_variation,combined", "-q")
    heads = answer(headcode(home, *words, "--level", "heads", "--json"))
    assert {(row.level, row.n_true, row.n_all) for row in heads.rows} == {("heads", 5, 48)}
    found = answer(headcode(home, *words, "--level", "mlps,nodes", "--json"))
    assert {(row.level, row.n_true, row.n_all) for row in found.rows} == {("mlps", 2, 6), ("nodes", 7, 54)}
    by_effect = {row.level: row.auc for row in found.rows if row.measure == "combined"}
    assert by_effect == {"mlps": 1.0, "nodes": pytest.approx(1.0, abs=0.05)}
    assert found.session != heads.session  # other runs: those of heads have no MLPs
    shown = headcode(home, "bench", "circuits", "--show", found.session)
    assert "planted-lookup, heads and MLPs: AUC for finding the circuit's heads and MLPs (true by" in shown.stdout
    shown = headcode(home, "bench", "circuits", "--show", found.session, "--level", "mlps")
    assert shown.stdout.startswith("planted-lookup, MLPs: AUC for finding the circuit's MLPs (true by construction)")


def test_edges_of_a_circuit_with_mlps_are_judged_over_heads_and_mlps(home: dict[str, str]) -> None:
    words = ("--models", "planted-lookup", "--tasks", "induction", "--examples", "6", "--seeds", "1")
    output = answer(
        headcode(home, "bench", "circuits", *words, "--recipe", "contrast", "--level", "edges", "--json", "-q")
    )
    edges = {row.measure: row for row in output.rows}
    circuit = PLANTED["planted-lookup"].circuits[0]
    layout = NodeLayout(n_layers=6, n_heads=8, choice="all")
    places = [place for place, node in zip(layout.order, layout.ids, strict=True) if node.in_circuits]
    n_all = sum(a < b for a in places for b in places)
    assert {(row.level, row.n_true, row.n_all) for row in edges.values()} == {("edges", len(circuit.node_edges), n_all)}
    assert any(not target.is_head for _, target in circuit.node_edges)
    assert {"edge_score", "attribution", "baseline_linear_probe", "random"} <= set(edges)
    assert edges["attribution"].auc > 0.99 > edges["random"].auc


def test_runs_may_have_only_pairs_the_model_can_do(home: dict[str, str]) -> None:
    words = ("bench", "circuits", "--models", "toy", "--tasks", "ioi", "--examples", "10", "--seeds", "2,")
    words = (*words, "--recipe", "contrast", "--measures", "paired_flips", "--json", "-q")
    every, able = (answer(headcode(home, *words, *more)) for more in ((), ("--usable",)))
    assert every.session != able.session
    assert [(row.measure, row.usable, row.n_true) for row in every.rows + able.rows] == [
        ("paired_flips", False, 20),
        ("paired_flips", True, 20),
    ]
    for output, usable in ((every, False), (able, True)):
        table = headcode(home, "sql", _SIDES.format(session=output.session_id), "--json")
        assert table.returncode == 0, table.stderr
        sides = {(row["polarity"], row["verdict"]) for row in msgspec.json.decode(table.stdout)["rows"]}
        assert (sides <= {("positive", "ok"), ("negative", "ok"), ("negative", "weak")}) is usable
    shown = headcode(home, "bench", "circuits", "--show", able.session)
    assert "1 draw of 10 + 10 prompts of pairs the model can do" in shown.stdout
    again = headcode(home, *words, "--usable", "--name", able.session)
    assert answer(again).rows == able.rows
    mixed = headcode(home, *words, "--name", able.session)
    assert (mixed.returncode, "Give --usable" in mixed.stderr) == (2, True)


def test_published_circuits_say_what_is_missing_without_the_hub(home: dict[str, str]) -> None:
    ran = headcode(home, "bench", "circuits", "--model", "openai-community/gpt2", "--seeds", "1")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "There is no model 'openai-community/gpt2' on this machine, and the hub cannot be reached" in ran.stderr
    assert "headcode models fetch openai-community/gpt2" in ran.stderr
    assert "headcode models import FOLDER --name gpt2" in ran.stderr
    assert f"{home['HEADCODE_HOME']}/cache/models/gpt2" in ran.stderr
    assert "Traceback" not in ran.stderr
    # A model of that name with other heads is not the circuit's.
    gpt2 = Path(home["HEADCODE_HOME"], "cache/models/gpt2")
    shutil.copytree(bundled_folder(), gpt2, ignore=shutil.ignore_patterns("circuits.json"))
    ran = headcode(home, "bench", "circuits", "--model", "openai-community/gpt2")
    assert ran.returncode == 2
    assert "gpt2, ioi: published for 12 x 12 heads and width 768; the model of that name on this machine" in ran.stderr
    shutil.rmtree(gpt2)


_SIDES = """
    SELECT DISTINCT polarity, verdict FROM grades JOIN examples USING (run_id, example) JOIN runs USING (run_id)
    WHERE runs.session_id = '{session}'
"""


def test_a_session_that_is_no_bench_is_left_alone(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "ioi", "--pairs", "2", "--steps", "2", "--shuffles", "0", "--name", "mine", "-q").code == 0
    for words in (("--show", "mine"), ("--name", "mine", "--models", "toy", "--tasks", "ioi")):
        ran = at_home("bench", "circuits", *words)
        assert ran.code == 2
        assert "Session 'mine' is not a benchmark." in ran.err
    missing = at_home("bench", "circuits", "--show", "nowhere")
    assert missing.code != 0
    assert "nowhere" in missing.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "toyy"], "There is no reference circuit of the model 'toyy'."),
        (["--models", "toyy"], "There are: toy, "),
        (["--tasks", "ioii"], "Did you mean ioi?"),
        (["--measures", "beauty"], ", unique_positive, "),
        (["--recipe", "cake"], "Recipes: contrast, published."),
        (["--examples", "0"], "'0' is not a number of pairs"),
        (["--examples", "ten"], "'ten' is not a number of pairs"),
        (["--examples", ","], "is empty"),
        (["--seeds", "x"], "'x' is not a whole number"),
        (["--seeds", "-1,2"], "draws are numbered from 0"),
        (["--level", "neurons"], "Levels: heads, mlps, nodes, edges."),
        (["--models", "toy", "--tasks", "ioi", "--level", ","], "is empty"),
        (["--models", "attn-only-4l", "--level", "mlps"], "nothing is known about its MLPs"),
        (["--cuts", "2"], "'2' is not a share of the base"),
        (["--by", "beauty"], "auc, average_precision, precision_at_size, f1"),
        (["--models", "gpt2", "--tasks", "docstring"], "gpt2, docstring: no reference"),
    ],
)
def test_bad_words(headcode: Callable[..., Any], words: list[str], message: str) -> None:
    ran = headcode("bench", "circuits", *words)
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""


def test_measures_are_those_of_the_table() -> None:
    assert set(measure_names()) >= {measure.id for measure in MEASURED if measure.id != "baseline_random"} | {"random"}


def test_speed_is_measured_in_whole_commands_and_leaves_nothing(home: dict[str, str], tmp_path: Path) -> None:
    alone = {**home, "TMPDIR": str(tmp_path)}
    ran = headcode(alone, "bench", "speed", "--repeat", "1", "--json")
    assert ran.returncode == 0, ran.stderr
    output = msgspec.json.decode(ran.stdout)
    assert output["schema"] == "headcode.bench-speed/1"
    rows = {row["what"]: row for row in output["rows"]}
    assert 0 < rows["headcode --help"]["value"] < rows["probe ioi, nothing running"]["value"]
    assert 0 < rows["first full frame of the screen"]["value"] < 60
    assert 0 < rows["first start of all, until a grid is shown"]["value"] < 60
    assert rows["probe ioi, warm, new prompts each time"]["aim"] == 1.5
    assert ran.stderr.count("\n") == len(rows)
    assert not list(tmp_path.glob("hc*"))  # neither home nor host is left


def test_speed_refuses_a_model_that_is_none(headcode: Callable[..., Any]) -> None:
    ran = headcode("bench", "speed", "--model", "./nowhere")
    assert ran.code == 2
    assert "no folder './nowhere'" in ran.err
