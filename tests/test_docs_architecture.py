"""Test that the files named in docs/architecture.md and in the contracts exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:engine|sessions|tui|tests)/[\w/]*(?:\.py)?)`", TEXT)))


def test_it_names_files() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("package", ["engine", "sessions", "tui"])
def test_every_folder_says_what_belongs_there_and_has_its_layer(package: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == [package])
    listed = {name.strip() for layer in layers for name in re.split(r"[|:]", layer)}
    for folder in (path for path in (ROOT / package).iterdir() if path.is_dir() and list(path.glob("*.py"))):
        first = (folder / "__init__.py").read_text(encoding="utf-8")
        assert re.match(r'"""\w[^"]{20,}', first), f"{folder.name} does not say what belongs there"
        assert folder.name in listed
