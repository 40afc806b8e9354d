"""The notebook's cells run in order, without Jupyter, and docs/api.md names what engine.api has."""

import ast
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from engine import api

DOCS = Path(__file__).parents[1] / "docs"


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last expression, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None  # noqa: S307  # our own notebook


def test_the_notebook_runs_and_finds_heads_that_the_answer_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path))
    notebook = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run_cell("".join(cell["source"]), names) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (name, layers, heads, *_), shape, ranking, effects = shown
    assert (name, layers, heads) == ("toy", 4, 8)
    assert tuple(shape)[1:3] == (4, 8)
    assert len(ranking) == 5
    assert ranking[0][1] >= ranking[-1][1] > 0
    assert list(effects) == [node for node, _ in ranking]
    assert min(effects.values()) < -0.5


def test_the_notebook_is_what_its_script_writes() -> None:
    written = runpy.run_path(str(DOCS / "make_notebook.py"))["notebook"]()
    assert (DOCS / "notebook.ipynb").read_text(encoding="utf-8") == written, "run docs/make_notebook.py"
    assert all(not cell.get("outputs") for cell in json.loads(written)["cells"])


def test_the_page_names_all_that_the_api_has() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)", page, re.MULTILINE))
    assert named == set(api.__all__)
