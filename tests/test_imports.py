"""Who may import whom, by contract and in clean interpreters."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformer_lens", "transformers")
SCREEN = ("textual", "rich", "typer")
VOCABULARY = [
    *("errors", "config", "events", "results", "examples", "examples_text", "measures", "ranking", "state", "jobs"),
    *("places", "catalog", "recommended", "reference", "tasks.registry", "planted.plan", "reference_edges"),
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
        (f"import {', '.join('engine.' + name for name in VOCABULARY)}", (*HEAVY, *SCREEN, "duckdb", "numpy")),
        ("import engine.worker.pipeline, engine.worker.__main__", (*SCREEN, "duckdb", "sessions", "tui")),
        ("import sessions.client.connection", (*HEAVY, *SCREEN, "duckdb", "numpy", "tui")),
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


def test_contracts_hold_and_can_be_broken(tmp_path: Path) -> None:
    for name in ("engine", "sessions", "tui"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kept = lint_imports(tmp_path)
    assert kept.returncode == 0, kept.stdout
    with (tmp_path / "engine" / "errors.py").open("a") as file:
        file.write("\nimport torch\n")
    broken = lint_imports(tmp_path)
    assert broken.returncode == 1
    assert "vocabulary needs no torch BROKEN" in broken.stdout
