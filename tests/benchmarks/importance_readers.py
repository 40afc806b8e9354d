"""Importance JSON in the hands of the programs that read it: what they choose by nodes, by edges, and greedily.

    python tests/benchmarks/importance_readers.py --venvs FOLDER [--json FILE]

FOLDER has the virtual environments eap, circuitkit and autocircuit; docs/peers.md says how the first two are made, and
    python3 -m venv FOLDER/autocircuit
    FOLDER/autocircuit/bin/pip install auto-circuit 'transformer-lens>=2.15,<3' 'pyarrow<26'
makes the third. One that is not there gives a line that says so. docs/exports.md has what was seen.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers import aligned_examples, patching_job

from engine.catalog.local_models import BUNDLED
from engine.config import LoadOptions
from engine.machine.folders import find_folders
from engine.models.loading import load_model

PROCESSES = Path(__file__).parent / "peer_processes"
RUNS = {"heads": ("--nodes", "heads"), "all": ("--nodes", "all", "--cause-edges")}
MEASURES = {"codes": "total_variation", "effects": "combined"}


def main() -> None:
    """Export, read, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    answers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hc-") as name:
        folder = Path(name)
        prompts = prompt_ids()
        for run, how in RUNS.items():
            for kind, measure in MEASURES.items():
                answers |= read_everywhere(
                    args.venvs, folder, exported(folder, run, how, measure), f"{run}, {kind}", prompts
                )
    if args.json:
        args.json.write_text(json.dumps(answers, indent=1))


def exported(folder: Path, run: str, how: tuple[str, ...], measure: str) -> Path:
    """Return the importance JSON of a run of indirect objects on the bundled model."""
    env = {**os.environ, "HEADCODE_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "tui.cli"]
    name, file = f"importance {run}", folder / f"{run}-{measure}.json"
    if not list(folder.glob(f"{run}-*.json")):
        probe = ["probe", "ioi", *how, "--cause", "combined", "--name", name, "--quiet"]
        subprocess.run([*command, *probe], env=env, check=True, stdout=subprocess.DEVNULL)
    words = ["export", f"{name}/1", str(file), "--format", "importance-json", "--measure", measure]
    subprocess.run([*command, *words], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return file


def prompt_ids() -> dict[str, Any]:
    """Return pairs of indirect objects of one length, as token ids, with expected and foil tokens."""
    model = load_model(BUNDLED, find_folders().models, LoadOptions())
    job = patching_job(model, aligned_examples(model, 60))
    lengths = [len(row) for row in job["positives"]]
    common = max(set(lengths), key=lengths.count)
    rows = [row for row, length in enumerate(lengths) if length == common][:24]
    names = ("positives", "negatives", "expected", "foils")
    return {"folder": job["folder"], **{name: [job[name][row] for row in rows] for name in names}}


def read_everywhere(venvs: Path, folder: Path, file: Path, title: str, prompts: dict[str, Any]) -> dict[str, Any]:
    """Return what each program makes of the file, and print it."""
    jobs = {
        "eap": ("read_importance", {"package": "eap"}),
        "circuitkit": ("read_importance", {"package": "circuitkit"}),
        "autocircuit": ("prune_importance", prompts),
    }
    found: dict[str, Any] = {}
    for venv, (script, more) in jobs.items():
        python = venvs / venv / "bin" / "python"
        print(f"\n## {title}: {venv}")
        if not python.exists():
            print(f"not installed: {python}")
            continue
        job = {
            "threads": 1,
            "file": str(file),
            "nodes": [5, 10, 20],
            "edges": [20, 100, 400],
            "counts": [20, 100, 400],
            **more,
        }
        (folder / "job.json").write_text(json.dumps(job))
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        words = [str(python), str(PROCESSES / f"{script}.py"), str(folder / "job.json")]
        ran = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
        if ran.returncode:
            print("failed: " + "\n".join(ran.stderr.strip().splitlines()[-6:]))
            continue
        answer = found[f"{title}: {venv}"] = json.loads(ran.stdout)
        for row in answer["found"]:
            print(
                "  ".join(
                    f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in row.items()
                )
            )
        print({name: value for name, value in answer.items() if name not in ("found", "peak_bytes")})
    return found


if __name__ == "__main__":
    main()
