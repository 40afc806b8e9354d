"""A real host and a real worker: prompts in, grid out."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.catalog.local_models import bundled_folder
from tui.commands.probe import name_from_file

COMMAND = (sys.executable, "-m", "tui.cli")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an installation of its own; its host is ended afterwards."""
    environment = {**os.environ, "HEADCODE_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}
    yield environment
    subprocess.run([*COMMAND, "host", "stop"], env=environment, check=True, capture_output=True, timeout=600)


def headcode(home: dict[str, str], *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], env=home, input=stdin, capture_output=True, text=True, timeout=600, check=False
    )


def test_a_probe_is_recorded_and_shown_again(home: dict[str, str]) -> None:
    ran = headcode(home, "probe", "ioi", "--steps", "20", "--shuffles", "50", "--name", "first light")
    assert ran.returncode == 0, ran.stderr
    assert "total variation: difference of code frequencies" in ran.stdout
    assert "train" in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr
    shown = headcode(home, "sessions", "show", "first light")
    assert shown.returncode == 0, shown.stderr
    grid = ran.stdout[ran.stdout.index("total variation:") : ran.stdout.index("seconds")]
    assert grid in shown.stdout
    listed = msgspec.json.decode(headcode(home, "sessions", "list", "--json").stdout)
    assert listed["schema"] == "headcode.sessions/1"
    assert [row["name"] for row in listed["sessions"]] == ["first light"]


def test_json_of_own_examples_and_a_second_run_in_the_same_session(home: dict[str, str], tmp_path: Path) -> None:
    lines = "".join(
        f'{{"prompt": "{prompt}", "polarity": "{polarity}"}}\n'
        for prompt, polarity in (("When Mary and John met", "positive"), ("When Mary and Tom met", "negative"))
    )
    file = tmp_path / "own.jsonl"
    file.write_text(lines)
    words = ("--steps", "20", "--seeds", "5,7", "--shuffles", "0", "--json", "-q")
    first = headcode(home, "probe", str(file), "--name", "own", *words)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    value = msgspec.json.decode(first.stdout)
    assert value["schema"] == "headcode.probe/1"
    assert value["config"]["seeds"] == [5, 7]
    assert value["reference"] is None
    kinds = Counter(node["kind"] for node in value["nodes"])
    assert kinds == {"head": 4 * 8, "mlp": 4, "embedding": 1}
    again = msgspec.json.decode(headcode(home, "probe", "--session", "own", *words).stdout)
    assert (again["session_id"], again["run_number"]) == (value["session_id"], 2)
    assert again["nodes"] == value["nodes"]


def test_a_run_is_done_again_with_what_it_had_and_without_reading_its_prompts_again(home: dict[str, str]) -> None:
    words = ("--pairs", "3", "--steps", "20", "--seeds", "4,8", "--shuffles", "0", "--name", "twice", "--json", "-q")
    first = msgspec.json.decode(headcode(home, "probe", "ioi", *words).stdout)
    ran = headcode(home, "probe", "--again", "twice/1", "--json", "-q")
    assert ran.returncode == 0, ran.stderr
    again = msgspec.json.decode(ran.stdout)
    assert again["run_id"] != first["run_id"]
    for same in ("session_id", "config", "nodes", "edges", "circuit", "examples"):
        assert again[same] == first[same], same
    assert [first["cached_activations"], again["cached_activations"]] == [False, True]
    refused = headcode(home, "probe", "ioi", "--again", "twice/1")
    assert refused.returncode == 2
    assert "uses the settings of that run" in refused.stderr


def test_a_session_made_from_a_file_is_named_after_it(tmp_path: Path) -> None:
    for written, name in (("friday ioi.jsonl", "friday ioi"), ("a.b.txt", "a.b"), ("---.txt", None)):
        (tmp_path / written).write_text("+ One => two\n")
        assert name_from_file(str(tmp_path / written)) == name
    assert name_from_file("-") is None
    assert name_from_file(str(tmp_path)) is None


def test_ctrl_c_stops_the_run_and_keeps_it(home: dict[str, str]) -> None:
    command = [*COMMAND, "probe", "ioi", "--steps", "1000000", "--name", "endless"]
    with subprocess.Popen(command, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        limit = threading.Timer(60, process.kill)
        limit.start()
        message = ""
        for line in process.stderr:  # the examples are graded: training comes next
            message += line
            if line.strip().startswith("grade"):
                process.send_signal(signal.SIGINT)
                break
        message += process.stderr.read()
        out = process.stdout.read()
        limit.cancel()
    assert process.returncode == 130, message
    assert out == ""
    assert "was stopped" in message
    assert "headcode sessions show endless" in message
    shown = headcode(home, "sessions", "show", "endless")
    assert "stopped" in shown.stdout


def test_what_the_session_holds_is_not_silently_replaced(home: dict[str, str]) -> None:
    assert headcode(home, "probe", "ioi", "--session", "no such session").returncode == 2


def test_strict_answers_two_where_the_model_cannot_do_an_example(home: dict[str, str]) -> None:
    text = "+ When Mary and John met => xyzzy plugh\n- When Mary and Tom met\n"
    ran = headcode(home, "probe", "-", "--strict", "--steps", "5", "--shuffles", "0", stdin=text)
    assert ran.returncode == 2, ran.stderr
    assert "examples are broken" in ran.stderr
    assert "best nodes" in ran.stdout


def test_in_the_foreground_nothing_is_left_running(tmp_path: Path) -> None:
    home = {**os.environ, "HEADCODE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ran = headcode(home, "probe", "ioi", "--foreground", "--steps", "5", "--shuffles", "0")
    assert ran.returncode == 0, ran.stderr
    status = msgspec.json.decode(headcode(home, "host", "status", "--json").stdout)
    assert (status["schema"], status["running"]) == ("headcode.host/1", False)


def test_what_is_refused_leaves_no_session(home: dict[str, str], tmp_path: Path) -> None:
    def sessions() -> bytes:
        return headcode(home, "sessions", "list", "--json").stdout.encode()

    before = sessions()
    folder = tmp_path / "no-model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "of nobody"}')
    (folder / "tokenizer.json").write_text("{}")
    deep = shutil.copytree(bundled_folder(), tmp_path / "deep")
    settings = msgspec.json.decode((deep / "config.json").read_bytes())
    (deep / "config.json").write_bytes(msgspec.json.encode({**settings, "n_layer": 10**9}))
    for words in (
        ("probe", "ioi", "--model", str(deep)),
        ("models", "import", str(deep)),
        ("probe", "ioi", "--position", "at:77"),
        ("probe", "ioi", "--model", str(folder)),
        ("bench", "circuits", "--models", "toy,nobody/nothing", "--tasks", "nothing"),
        ("examples", "new", "empty", "/nowhere/at/all.txt"),
    ):
        ran = headcode(home, *words)
        assert ran.returncode == 2, (words, ran.stderr)
    assert sessions() == before


def test_the_demo_prints_one_grid_where_there_is_no_terminal(home: dict[str, str]) -> None:
    ran = headcode(home, "demo")
    assert ran.returncode == 0, ran.stderr
    assert "total variation: difference of code frequencies" in ran.stdout
    assert "open it" in ran.stdout
