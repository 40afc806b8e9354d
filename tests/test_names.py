"""Names: no public class twice in the three packages, and no coinage where the field has a word."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "sessions", "tui")


def public_classes() -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def test_no_public_class_has_the_name_of_another() -> None:
    found = public_classes()
    assert len(found) > 400
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_every_folder_says_what_belongs_in_it() -> None:
    for package in PACKAGES:
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
            about = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
            assert about, folder


def test_what_engine_and_sessions_offer_is_named() -> None:
    for package in ("engine", "sessions"):
        for path in (ROOT / package).rglob("__init__.py"):
            assert "__all__" in path.read_text(encoding="utf-8"), path
