"""The script for GPU machines runs on a CPU at small size, so that it works when a GPU is lent."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "benchmarks" / "gpu.py"


def test_the_gpu_benchmark_runs_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    words = [str(SCRIPT), "--shapes", "tiny", "--runs", "1", "--device", "cpu", "--json", str(out)]
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["shape"], row["device"], row["heads"]) == ("tiny", "cpu", 8)
    assert row["forward"] > 0
    assert 0 < row["stages"]["train"] < row["probe"]
    assert "tiny" in ran.stdout
