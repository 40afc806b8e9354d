"""`headcode report`, and a run as a command and a script: on a real run of the bundled model."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from tui.commands.report import find_suffix

ROOT = Path(__file__).parents[3]
FAST = ("--seeds", "2", "--steps", "7", "--shuffles", "50", "--bootstraps", "3")


def shown(headcode: Callable[..., Any], name: str) -> Any:
    ran = headcode("sessions", "show", name, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["run"]


def test_a_run_says_itself_to_people_shells_and_python(
    at_home: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    probe = ("probe", "ioi", "--pairs", "4", "--task-seed", "3", *FAST, "--cause", "exact", "--nodes", "heads")
    assert at_home(*probe, "--name", "told", "-q").code == 0
    first = shown(at_home, "told")

    # A report, with attention from the warm model.
    ran = at_home("report", "told", "told.html", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["schema"] == "headcode.report/1"
    page = Path(found["path"]).read_text(encoding="utf-8")
    assert found["n_bytes"] == len(page.encode()) < 600_000
    assert "Attention of" in page
    assert "are missing" not in page
    assert at_home("report", "told/1", "told.md").code == 0
    text = Path("told.md").read_text(encoding="utf-8")
    assert text.startswith("# told, run 1: ")
    assert "```mermaid" in text
    assert at_home("report", "told/1", "-", "--format", "md").out == text
    refused = at_home("report", "told/1", "told.md")
    assert refused.code == 2
    assert "told.md" in refused.err
    assert at_home("report", "nobody/1", "x.html").code == 2
    assert not Path("x.html").exists()

    # The command makes the same run.
    line = at_home("export", "told/1", "-", "--format", "run-sh").out.strip()
    assert line in page.replace("&#39;", "'")
    words = shlex.split(line)
    assert words[:4] == ["headcode", "probe", "ioi", "--pairs"]
    assert at_home(*words[1:], "--name", "again", "-q").code == 0
    second = shown(at_home, "again")
    for part in ("examples", "config", "nodes", "circuit", "cause"):
        assert strip(second[part]) == strip(first[part]), part

    # So do the examples as a file, with their codes.
    assert at_home("export", "told/1", "told.jsonl").code == 0
    assert at_home("probe", "told.jsonl", *FAST, "--nodes", "heads", "--name", "own", "-q").code == 0
    own = shown(at_home, "own")
    assert own["examples"]["content_hash"] == first["examples"]["content_hash"]
    assert [node["unique_positive"] for node in own["nodes"]] == [node["unique_positive"] for node in first["nodes"]]
    told = at_home("export", "own/1", "own.sh")
    assert told.code == 0, told.err
    assert Path("own.sh").read_text().splitlines()[0] == "headcode export own/1 own-1.jsonl"

    # The script repeats the stored effect with TransformerLens alone.
    assert at_home("export", "told/1", "told.py").code == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    script = subprocess.run(
        [sys.executable, "told.py"], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert script.returncode == 0, script.stderr
    assert Path("told-1.headcode").exists()
    effects = re.findall(r"effect .*?(-?\d+\.\d{4}) of (-?\d+\.\d{4})", script.stdout)
    assert len(effects) == 2, script.stdout
    for ours, stored in zip(*effects, strict=True):
        assert float(ours) == pytest.approx(float(stored), abs=2e-4)
    strongest = max(first["cause"][0]["effects"], key=lambda each: abs(each["effect"]))
    assert f"effect of {strongest['layer']}.{strongest['head']} " in script.stdout


def strip(part: Any) -> Any:
    """Without times, which differ."""
    return json.loads(re.sub(r'"(measured_us|seconds)": [^,}]+', r'"\1": 0', json.dumps(part)))


@pytest.mark.parametrize(
    ("file", "form", "suffix"),
    [("a.html", None, ".html"), ("a.HTM", None, ".htm"),
     ("a.md", None, ".md"), ("-", None, ".html"), ("-", "md", ".md"),
     ("a.txt", "html", ".html")],
)  # fmt: skip
def test_a_name_says_the_format(file: str, form: str | None, suffix: str) -> None:
    assert find_suffix(file, form) == suffix


@pytest.mark.parametrize(("file", "form"), [("a", None), ("a.pdf", None), ("a.html", "pdf")])
def test_another_format_is_refused_with_what_there_is(file: str, form: str | None) -> None:
    with pytest.raises(ConfigError) as refused:
        find_suffix(file, form)
    assert "html" in refused.value.hint
    assert (form or file) in refused.value.message
