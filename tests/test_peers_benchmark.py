"""The comparison with peers runs at small size with what is installed, and says what is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "benchmarks" / "peers.py"


def test_the_comparison_runs_with_what_is_installed_and_says_what_is_not(tmp_path: Path) -> None:
    # An environment without the package that it is named after.
    python = tmp_path / "venvs" / "circuitkit" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    out = tmp_path / "rows.json"
    words = ["--small", "--repetitions", "1", "--venvs", str(tmp_path / "venvs"), "--json", str(out)]
    env = {**os.environ, "HEADCODE_HOME": str(tmp_path / "home")}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
    )
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(out.read_text())["rows"]
    assert all(row["program"] in ran.stdout for row in rows)

    def of(program: str) -> dict:
        (row,) = (row for row in rows if row["program"] == program)
        return row

    # TransformerLens's own patching finds the same effect of every head, and takes longer.
    theirs = of("TransformerLens, bridge")
    assert theirs["largest_difference"] < 1e-4
    assert theirs["times_ours"] > 1
    assert theirs["auc"][""] == of("Headcode")["auc"][""]
    assert of("Headcode combined (and exact patching)")["auc"][""] > 0.9
    assert of("Headcode, default recipe, three seeds")["stages"].keys() == {
        "prepare", "train", "codes", "nodes", "edges"
    }  # fmt: skip
    for row in rows:
        assert row["missing"] or row["failed"] or (row["cpu"][0] > 0 and row["peak_bytes"] > 2**27)
    assert of("circuitkit, nodes")["failed"] == "ModuleNotFoundError: No module named 'circuitkit'"
    missing = {row["program"] for row in rows if row["missing"]}
    assert missing == {
        "reference implementation", "TransformerLens 2, HookedTransformer", "EAP-IG, nodes", "EAP-IG, all edges"
    }  # fmt: skip
