"""Who may import whom, by contract and in clean interpreters."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformer_lens", "transformers")
SCREEN = ("textual", "rich", "typer")
TORCH_FREE = [
    *("config", "errors", "events", "examples", "measures", "protocol", "results", "sample_size", "tasks.registry"),
    *("analysis.ranking", "analysis.run_state", "authoring.text_format", "machine.folders", "planning.preflight"),
    *("catalog.local_models", "catalog.planted_models", "catalog.recommended_config"),
    "references.known_circuits",
]


def loaded_by(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        (f"import {', '.join('engine.' + name for name in TORCH_FREE)}", (*HEAVY, *SCREEN, "duckdb", "numpy")),
        ("import engine.worker.pipeline, engine.worker.__main__", (*SCREEN, "duckdb", "sessions", "tui")),
        ("import sessions.client.connection", (*HEAVY, *SCREEN, "duckdb", "numpy", "tui")),
        ("import sessions.comparison.seed_scores", (*HEAVY, *SCREEN, "duckdb")),
        ("import sessions.host.__main__", (*HEAVY, *SCREEN, "tui")),
        ("import tui.cli", (*HEAVY, "duckdb", "numpy", "textual")),
        ("import tui.app.launch", (*HEAVY, "duckdb", "numpy")),
    ],
)
def test_a_clean_interpreter_loads_no_more_than_allowed(statement: str, forbidden: tuple[str, ...]) -> None:
    assert not loaded_by(statement) & set(forbidden)


def test_the_clean_interpreter_check_can_fail() -> None:
    assert "duckdb" in loaded_by("import duckdb")


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([program, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)


BREAKS = {
    "tui stands on sessions, sessions on engine": ("sessions/ids.py", "import tui.cli"),
    "inside the engine, a folder": ("engine/tasks/base.py", "import engine.worker.pipeline"),
    "inside sessions, a folder": ("sessions/files/mounts.py", "import sessions.host.server"),
    "inside tui, a folder": ("tui/terminal/sgr.py", "import tui.screens.card"),
    "needs no torch": ("engine/planning/presets.py", "import torch"),
    "scores from codes need numpy alone": ("engine/code_scores/edge_scores.py", "import engine.sae.codes"),
    "the engine neither stores nor draws": ("engine/sae/codes.py", "import duckdb"),
    "sessions see no torch": ("sessions/store/search.py", "import engine.sae.codes"),
    "tui sees neither torch": ("tui/headless/wording.py", "import sessions.store.search"),
}
"""A line for each contract that it forbids, by a part of the contract's name."""


def test_contracts_hold_and_each_can_be_broken(tmp_path: Path) -> None:
    for name in ("engine", "sessions", "tui"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kept = lint_imports(tmp_path)
    assert kept.returncode == 0, kept.stdout
    for path, line in BREAKS.values():
        with (tmp_path / path).open("a") as file:
            file.write(f"\n{line}\n")
    broken = lint_imports(tmp_path)
    assert broken.returncode == 1
    verdicts = [line for line in broken.stdout.splitlines() if line.endswith((" KEPT", " BROKEN"))]
    assert len(verdicts) == len(BREAKS)
    for part in BREAKS:
        (verdict,) = (line for line in verdicts if part in line)
        assert verdict.endswith(" BROKEN"), verdict
