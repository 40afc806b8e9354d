"""No text of others reaches a widget or a table as a string that is read as markup: found in the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TUI = Path(__file__).parents[2] / "tui"
TITLES = {"border_title", "border_subtitle", "tooltip"}
WIDGETS = {"Static", "Label", "Button", "Option", "Checkbox", "Collapsible", "TabPane", "Select", "Digits"}
SAFE = {
    "Content",
    "Content.assemble",
    "Content.styled",
    "Text",
    "Text.assemble",
    "format_card",
    "format_help",
    "action_tip",
    "rule_text",
}
"""What makes text that is no markup; functions of these names give a Content."""
READS_MARKUP = {"RichLog", "Markdown", "DataTable", "Tree"}


def flaws(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each place where a string could be read as markup."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Attribute) and each.attr in TITLES for each in targets) and not safe(
                node.value
            ):
                yield node.lineno, ast.unparse(node)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        unmarked = any(
            each.arg == "markup" and isinstance(each.value, ast.Constant) and each.value.value is False
            for each in node.keywords
        )
        last = name.rpartition(".")[2]
        widget = last in WIDGETS and not name.startswith("typer.")
        wrong = (
            (widget and node.args and not safe(node.args[0]) and not unmarked)
            or (last == "notify" and name != "super().notify" and not unmarked)
            or last in READS_MARKUP
            or (last == "from_markup" and not (node.args and isinstance(node.args[0], ast.Constant)))
            or (name.endswith("console.print") and node.args and isinstance(node.args[0], ast.JoinedStr))
        )
        if wrong:
            yield node.lineno, ast.unparse(node)


def safe(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return value.value is None or (isinstance(value.value, str) and "[" not in value.value)
    if isinstance(value, ast.IfExp):
        return safe(value.body) and safe(value.orelse)
    if isinstance(value, ast.Call):
        name = ast.unparse(value.func)
        return name in SAFE or name.startswith(("Content(", "Text("))
    # Names that the code above them made a Content of: they are told by their own names.
    return isinstance(value, ast.Name) and value.id in {"content", "line", "words_content"}


@pytest.mark.parametrize("path", sorted(TUI.rglob("*.py")), ids=lambda path: str(path.relative_to(TUI)))
def test_no_string_is_read_as_markup(path: Path) -> None:
    found = [f"{path.name}:{line}: {text[:120]}" for line, text in flaws(path.read_text(encoding="utf-8"))]
    allowed = {
        "clickable_keys.py": "self.tooltip = words",
        "document.py": "open_links=False)",  # a page of Headcode's own documentation
    }
    assert not [each for each in found if not each.endswith(allowed.get(path.name, "\0"))]


@pytest.mark.parametrize("line", [
    "Static(name)",
    'Static(f"run {name}")',
    "box.border_title = name",
    'box.border_title = clean(name).replace("[", "(")',
    "self.tooltip = name",
    "app.notify(name)",
    "Content.from_markup(name)",
    "DataTable()",
    'console.print(f"{name}")',
    'Option("[b]" + name)',
])  # fmt: skip
def test_the_check_can_fail(line: str) -> None:
    assert list(flaws(line))


@pytest.mark.parametrize("line", [
    "Static(Content(clean(name)))",
    'box.border_title = "Edges"',
    "app.notify(name, markup=False)",
    'Content.from_markup("run [b]$name[/b]", name=name)',
    'Static(id="words")',
    "console.print(Text(name))",
])  # fmt: skip
def test_and_can_be_content(line: str) -> None:
    assert not list(flaws(line))
