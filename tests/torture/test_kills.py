"""Run a few seconds of the torture; by hand: python -m tests.torture.kills --kills 300."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_acknowledged_is_lost_when_anybody_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.kills", "--kills", "14", "--seed", "5", "--screens", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    report = json.loads(done.stdout)
    assert done.returncode == 0, (report, done.stderr)
    assert sum(report["kills"].values()) == 14
    assert report["acknowledged_writes"] > 0
    assert report["stored_entries"] >= report["acknowledged_writes"]
