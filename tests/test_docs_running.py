"""Test that docs/running.md has the program's table of options."""

import os
from pathlib import Path

from engine.planning.option_table import OPTIONS
from engine.planning.option_text import format_value
from engine.planning.run_options import RunOptions, value_of

PAGE = Path(__file__).parents[1] / "docs" / "running.md"
HEAD = "## Every option\n"


def table() -> str:
    rows = [
        "| option | flag | default | published | accepted | what it does |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for option in OPTIONS:
        value = format_value(option, value_of(RunOptions(), option.path))
        accepted = ", ".join(option.choices) or option.range or "yes or no"
        cells = (option.title, f"`{option.flag}`", value, option.published or "–", accepted, option.meaning)
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def test_the_table_is_the_programs() -> None:
    text, head, stored = PAGE.read_text(encoding="utf-8").partition(HEAD)
    if os.environ.get("HEADCODE_UPDATE_DOCS"):
        PAGE.write_text(text + head + table(), encoding="utf-8")
        return
    assert stored == table(), "HEADCODE_UPDATE_DOCS=1 writes the table anew"


def test_no_cell_breaks_the_table() -> None:
    assert all("|" not in f"{option.meaning}{option.range}{option.published}" for option in OPTIONS)
