"""Reports of sweeps: tables and curves with the workbench's numbers, in words, accessible, safe, and repeatable."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from engine.sweeps.run_measures import MEASURES
from sessions.errors import NoSuchRecord
from sessions.protocol import GetSweep
from sessions.rows import SweepUnitRow
from tui.headless.sweeps import read_plan
from tui.report.any_report import make_report
from tui.report.blocks import Document, Picture, Section, Table
from tui.report.html import html
from tui.report.markdown import markdown
from tui.report.sweep import sweep_report
from tui.report.sweep_curves import format_number
from tui.report.sweep_material import SweepMaterial, read_sweep, sweep_spec

from ..finished_run import make_events
from ..pretended_sweep import NODES, STEPS, PretendedSweep, score
from .reported import facts_of, folded, material_of
from .test_report import HOSTILE, MOST_BYTES, Page


class Source:
    """Answers about one pretended sweep, and knows no run."""

    def __init__(self, sweep: PretendedSweep) -> None:
        self.sweep = sweep

    async def ask(self, request: Any, _want: Any) -> Any:
        if type(request).__name__ in ("ShowSession", "FindRun"):
            raise NoSuchRecord("There is no session 'x'.", hint="")
        if isinstance(request, GetSweep) and request.sweep not in (self.sweep.name, "w-1"):
            raise NoSuchRecord("There is no sweep 'x'.", hint="")
        return await self.sweep.answer(request)

    async def follow(self, _session: str, **_more: Any) -> AsyncIterator[Any]:
        for entries in ():
            yield entries


async def read(sweep: PretendedSweep, monkeypatch: pytest.MonkeyPatch) -> SweepMaterial:
    """The sweep's material, with a finished run as the one that is shown in full."""
    facts = facts_of(folded(make_events()), name="births: addition")

    async def no_facts(*_: Any, **__: Any) -> tuple[Any, ...]:
        return (facts,)

    async def run(*_: Any, **__: Any) -> Any:
        return material_of(facts, prefix="run-1-")

    monkeypatch.setattr("tui.report.sweep_material.read_facts", no_facts)
    monkeypatch.setattr("tui.report.document.read_material", run)
    return await read_sweep(Source(sweep), "w-1", load=False, models=None)  # type: ignore[arg-type]


def sections(document: Document) -> dict[str, Section]:
    return {section.id: section for section in document.sections}


def tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


async def test_tables_and_curves_have_the_numbers_of_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = PretendedSweep()
    material = await read(sweep, monkeypatch)
    found = sections(sweep_report(material))
    assert list(found) == ["summary", "words", "tables", "curves", "births", "best", "failures", "units", "repeat"]

    titles = [str(table.caption) for table in tables(found["tables"])]
    for measure in MEASURES:
        assert any(measure.title in title for title in titles), measure.title
    node = next(table for table in tables(found["tables"]) if "total variation of m0" in str(table.caption))
    assert [column.title for column in node.columns][1:] == [str(step) for step in STEPS]
    assert [row[0].text for row in node.rows] == ["0", "1", "2"]
    for draw, row in enumerate(node.rows):
        for step, cell in zip(STEPS, row[1:], strict=True):
            if (step, draw) in sweep.done:
                assert float(cell.text) == pytest.approx(score("m0", step, draw), abs=0.006)
            else:
                assert cell.text in ("failed", "running")

    curves = found["curves"].blocks
    drawn = [block for block in curves if isinstance(block, Picture)]
    assert "AUC" in str(drawn[0].caption)
    assert "from .50 at 0 to 1 at 1200" in drawn[0].alt
    values = next(table for table in tables(found["curves"]) if {row[0].text for row in table.rows} <= set(NODES))
    for row in values.rows:
        for step, cell in zip(STEPS, row[1:], strict=True):
            known = [score(row[0].text, step, draw) for draw in range(3) if (step, draw) in sweep.done]
            assert cell.text == format_number(sum(known) / len(known))
    assert sum("xychart-beta" in each.mermaid for each in drawn) == len(drawn) > 2

    units = tables(found["units"])[0]
    assert len(units.rows) == 24
    assert [cell.text for cell in units.rows[0]][:3] == ["0", "0", "done"]
    assert "No memory left for births." in str(found["failures"].blocks)
    assert "20 of 24" not in str(found["summary"])
    assert "22 of 24 units are done" in str(found["summary"].blocks)


async def test_the_page_is_small_accessible_and_the_same_in_both_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    report = sweep_report(await read(PretendedSweep(), monkeypatch))
    page, text = html(report), markdown(report)
    assert len(page.encode()) < MOST_BYTES
    read_page = Page(page)
    ids = [attributes["id"] for _, attributes in read_page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = {attributes["href"] for attributes in read_page.all("a")}
    assert {link.removeprefix("#") for link in links if link is not None} <= set(ids)
    drawings = read_page.all("svg")
    assert drawings
    assert all(each.get("aria-hidden") == "true" for each in drawings)
    described = [attributes for _, attributes in read_page.elements if attributes.get("aria-label")]
    assert len(described) >= len(drawings)
    assert {each["aria-labelledby"] for each in read_page.all("table")} <= set(ids)
    for words in ("In short", "Births over training", "One run in full", "headcode sweep sweep.toml"):
        assert words in read_page.text
        assert words in text
    assert text.startswith("# Sweep births\n")


async def test_no_name_becomes_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = PretendedSweep(HOSTILE[:150])
    units = [msgspec.structs.replace(unit, labels=(*unit.labels[:2], ("draw", HOSTILE))) for unit in sweep.units]
    monkeypatch.setattr(PretendedSweep, "units", tuple(units))
    report = sweep_report(await read(sweep, monkeypatch))
    page = Page(html(report))
    assert not [tag for tag in ("script", "img", "iframe", "link") if page.all(tag)]
    assert "evil.example" not in str([attributes for _, attributes in page.elements])
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown(report))
    every = [inner for token in tokens for inner in (token, *(token.children or ()))]
    assert not [token for token in every if token.type in ("html_block", "html_inline", "image", "link_open")]


@pytest.mark.parametrize(
    "spec",
    [
        'task = ["ioi", "induction"]\nseeds = ["3,5", "2"]\nlambda = [".25", ".5"]\ndraws = 3\npairs = 7\nusable=true',
        'task = "addition"\nmodel = "adder"\ncheckpoint = "0,1000"\ndraws = [4, 7]\nseeds = "2"\npairs = 9',
        'task = "ioi"\nnodes = ["heads", "all"]\nseeds = "0..1"\ncodes = "50,100"\ndraws = "4,"',
    ],
)
def test_the_specification_plans_the_same_units(spec: str, tmp_path: Path) -> None:
    """Read again, it gives the same content keys: examples, model, draw, pairs and every option."""
    name = 'it\'s "quoted" \\ \x7f'
    (tmp_path / "one.toml").write_text(spec)
    plan = read_plan(str(tmp_path / "one.toml"), {}, name=name, pairs=0, usable=False)
    units = [
        SweepUnitRow(
            key=unit.key, labels=unit.labels, model=unit.model, draw=unit.draw, run_id=None, session_id="s", session="",
            number=None, state="waiting", failure=None, seconds=None, attempts=0,
        )
        for unit in plan.units
    ]  # fmt: skip
    (tmp_path / "two.toml").write_text(sweep_spec(name, units, plan))
    again = read_plan(str(tmp_path / "two.toml"), {}, name=None, pairs=0, usable=False)
    assert again.name == plan.name == name
    assert {unit.key for unit in again.units} == {unit.key for unit in plan.units}
    assert len(again.units) == len(plan.units)


async def test_a_name_that_is_nothing_names_the_session_first(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(PretendedSweep())
    with pytest.raises(NoSuchRecord, match="no session"):
        await make_report(source, "x", sweep=False, load=False, models=None)  # type: ignore[arg-type]
    with pytest.raises(NoSuchRecord, match="no sweep"):
        await make_report(source, "x", sweep=True, load=False, models=None)  # type: ignore[arg-type]
    await read(source.sweep, monkeypatch)
    made = await make_report(source, "births", sweep=False, load=False, models=None)  # type: ignore[arg-type]
    assert made.title == "Sweep births"
