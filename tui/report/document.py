"""Reports of a run and of a session. To add a section: a function of Material, and its line in SECTIONS.

A report of something else, such as a sweep, is a function like `report_of`: it returns a Document of its own sections
and, if it has runs, of `run_sections`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tui.headless.run_command import run_command
from tui.headless.stored_run import FactsSource, StoredRun, find_runs, read_nodes
from tui.report.blocks import Document, Section
from tui.report.circuit import circuit
from tui.report.effects import effects
from tui.report.evidence import evidence
from tui.report.examples import examples
from tui.report.grid import grid
from tui.report.html import html
from tui.report.markdown import markdown
from tui.report.material import Material, shown_nodes, view_of
from tui.report.nodes import nodes
from tui.report.repeat import notes, repeat, settings
from tui.report.steering import steering
from tui.report.summary import summary, titles, words
from tui.terminal.times import day

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    summary,
    examples,
    grid,
    circuit,
    nodes,
    effects,
    steering,
    evidence,
    settings,
    repeat,
    notes,
)
FORMATS: dict[str, Callable[[Document], str]] = {".html": html, ".htm": html, ".md": markdown}
"""What writes a report, by the suffix of the file."""


async def read_materials(source: FactsSource, what: str, *, load: bool, models: Path) -> tuple[Material, ...]:
    """Return what a report of the run or session is made of. Raises NoSuchRecord, CannotCompare."""
    found = await find_runs(source, what)
    return tuple([await read_material(source, each, load=load, models=models, one=len(found) == 1) for each in found])


async def read_material(source: FactsSource, facts: StoredRun, *, load: bool, models: Path, one: bool) -> Material:
    """Return what a run's sections are made of. `load`: load the model if it is not in memory. `one`: the only run."""
    measure, inside = view_of(facts)
    found, missing = await read_nodes(source, facts, shown_nodes(facts, measure), load=load)
    return Material(
        facts=facts,
        measure=measure,
        circuit=inside,
        nodes=found,
        missing=missing,
        command=run_command(facts, models),
        prefix="" if one else f"run-{facts.run.number}-",
    )


def report_of(materials: Sequence[Material]) -> Document:
    """Return the report: of one run its sections; of several, the runs one after another, each with its sections."""
    first = materials[0]
    versions = first.facts.picture.versions
    by = f"Headcode {versions.headcode}" if versions is not None else "Headcode"
    when = day(first.facts.run.queued_us)
    kind = "A search for the parts of a language model that do a task"
    vocabulary = words("node" if any(each.noun == "node" for each in materials) else "head")
    if len(materials) == 1:
        begin, *rest = run_sections(first)
        about = f"{kind}, made with {by} on {when}."
        return Document(title=titles(first), about=about, sections=(begin, vocabulary, *rest))
    session = first.facts.session
    runs = tuple(
        Section(id=f"run-{each.facts.run.number}", title=titles(each), sections=run_sections(each))
        for each in materials
    )
    about = f"{kind}: {len(runs)} runs of one session, made with {by}, the first on {when}."
    return Document(title=session.name, about=about, sections=(vocabulary, *runs))


def run_sections(material: Material) -> tuple[Section, ...]:
    """Return the sections of a run that it has something for."""
    return tuple(section for make in SECTIONS if (section := make(material)) is not None)
