"""The report of a sweep: its tables and curves as the workbench shows them, births, its best run, and every unit."""

from collections.abc import Iterator, Sequence

from engine.sweeps.plan import axes_of_labels
from sessions.rows import SweepUnitRow
from tui.report.blocks import (
    Block,
    Code,
    Column,
    Document,
    Items,
    Paragraph,
    Section,
    Table,
    Text,
    Warn,
    code,
    join,
    numbers,
    row,
    shorten,
    strong,
)
from tui.report.document import run_sections
from tui.report.material import number
from tui.report.summary import titles, words
from tui.report.sweep_curves import births, curves, format_number
from tui.report.sweep_material import SweepMaterial, best_unit, sweep_spec
from tui.report.sweep_tables import tables
from tui.terminal.times import day

MOST_UNITS, MOST_FAILURES = 400, 40


def sweep_report(material: SweepMaterial) -> Document:
    """Return the report."""
    sweep = material.detail.sweep
    about = (
        f"A search for the parts of a language model that do a task, repeated over {sweep.units} combinations of "
        f"settings with Headcode, planned on {day(sweep.planned_us)}."
    )
    made = (
        _summary(material),
        words("node"),
        tables(material),
        curves(material),
        births(material),
        _best(material),
        _failures(material),
        _units(material),
        _repeat(material),
    )
    return Document(title=f"Sweep {sweep.name}", about=about, sections=tuple(each for each in made if each is not None))


def _summary(material: SweepMaterial) -> Section:
    sweep, axes = material.detail.sweep, axes_of_labels(unit.labels for unit in material.detail.units)
    varied = {axis: values for axis, values in axes.items() if len(values) > 1}
    fixed = [f"{axis} {values[0]}" for axis, values in axes.items() if len(values) == 1]
    blocks: list[Block] = [
        Paragraph(
            (
                strong("Question. "),
                "How does the result depend on what was varied? Each unit is one run: a set of prompts of two "
                "kinds is put to a model, and its heads and MLPs are ranked by how well their codes tell the kinds "
                "apart.",
            )
        ),
        Items(tuple((strong(f"{axis}: "), f"{len(values)} values, {_few(values)}") for axis, values in varied.items())),
    ]
    if fixed:
        blocks.append(Paragraph(f"The same in all units: {'; '.join(fixed)}."))
    rest = [
        f"{count} {word}"
        for count, word in ((sweep.failed, "failed"), (sweep.left - sweep.failed, "not run"))
        if count > 0
    ]
    blocks.append(Paragraph(f"{sweep.done} of {sweep.units} units are done{f'; {join(rest)}' if rest else ''}."))
    blocks += _found(material)
    if sweep.left:
        blocks.append(Warn("Not every unit has a finished run: empty cells of the tables are these."))
    return Section(id="summary", title="In short", blocks=tuple(blocks))


def _found(material: SweepMaterial) -> Iterator[Block]:
    """Yield what the runs found in sentences: verdicts, the range of AUC, the nodes in most circuits."""
    runs = list(material.units.values())
    verdicts: dict[str, int] = {}
    for run in runs:
        if run.verdict is not None:
            verdicts[run.verdict] = verdicts.get(run.verdict, 0) + 1
    if verdicts:
        ranked = sorted(verdicts, key=lambda verdict: -verdicts[verdict])
        yield Paragraph((strong("Evidence. "), join(f"{verdicts[each]} of {len(runs)} {each}" for each in ranked), "."))
    aucs = sorted(run.auc for run in runs if run.auc is not None)
    if aucs:
        best = best_unit(material)
        where = f" The highest is at {_labels(best, material)}." if best is not None else ""
        yield Paragraph(
            (
                strong("AUC. "),
                f"How well the ranking finds the nodes that matter, from 0.5 (no better than chance) to 1: "
                f"{number(aucs[0])} to {number(aucs[-1])}, median {number(aucs[len(aucs) // 2])}.{where}",
            )
        )
    counts: dict[str, int] = {}
    for run in runs:
        for node in run.circuit:
            counts[node] = counts.get(node, 0) + 1
    if counts:
        ranked = sorted(counts, key=lambda node: (-counts[node], node))[:10]
        found = join(f"{node} in {counts[node]}" for node in ranked)
        yield Paragraph((strong("Nodes in most circuits. "), f"Of {len(runs)} runs: {found}."))


# ---- the best run, failures, units


def _best(material: SweepMaterial) -> Section | None:
    """Return the run with the highest AUC, else the first, with all sections of a run's report."""
    if material.best is None:
        return None
    unit = best_unit(material)
    why = "the highest AUC" if unit is not None and material.units[unit.run_id or ""].auc is not None else "first"
    title = f"One run in full, {why}: {titles(material.best)}"
    return Section(id="best", title=title, sections=run_sections(material.best))


def _failures(material: SweepMaterial) -> Section | None:
    failed = [unit for unit in material.detail.units if unit.failure is not None and unit.state != "done"]
    if not failed:
        return None
    lines: tuple[Text, ...] = tuple(
        (strong(f"{_labels(unit, material)}: "), shorten(f"{unit.failure.message} {unit.failure.hint}".strip(), 1_000))
        for unit in failed[:MOST_FAILURES]
        if unit.failure is not None
    )
    more = [Paragraph(f"And {len(failed) - MOST_FAILURES} more.", quiet=True)] if len(failed) > MOST_FAILURES else []
    return Section(id="failures", title="What failed", blocks=(Items(lines), *more))


def _units(material: SweepMaterial) -> Section:
    """Return every unit with its run and what it found."""
    axes = list(material.table().axes)
    shown = material.detail.units[:MOST_UNITS]
    rows = []
    for unit in shown:
        own, found = dict(unit.labels), material.units.get(unit.run_id or "")
        run = f"{unit.session}/{unit.number}" if unit.number is not None else ""
        values = (
            *(own.get(axis, "") for axis in axes),
            unit.state,
            "" if found is None else found.verdict or "",
            "" if found is None else format_number(found.auc),
            "" if unit.seconds is None else f"{unit.seconds:.1f}",
            "" if found is None else listed_names(found.circuit),
            run,
        )
        rows.append(row(*values))
    columns = (
        *map(Column, axes),
        Column("State"),
        Column("Verdict"),
        *numbers("AUC", "Seconds"),
        Column("Circuit", wide=True),
        Column("Run"),
    )
    left = len(material.detail.units) - len(shown)
    caption = "Every unit, its run and its circuit." + (f" {left} more are left out." if left else "")
    return Section(id="units", title="Units", blocks=(Table(caption, columns, tuple(rows)),))


def _repeat(material: SweepMaterial) -> Section:
    name = material.name
    blocks: list[Block] = [
        Paragraph(
            ("These lines, saved as sweep.toml, plan the same units with ", code("headcode sweep sweep.toml"),
             "; those that have a finished run are not computed again.")
        ),
        Code(sweep_spec(name, material.detail.units, material.plan), "toml"),
        Paragraph(
            ("On the machine that has this sweep: ", code(f"headcode sweep show {name}"), " prints it, ",
             code(f"headcode sweep export {name} units.csv"), " writes its numbers, and ",
             code("headcode report RUN FILE.html"), " a page like this one of a single run.")
        ),
    ]  # fmt: skip
    versions = material.best.facts.picture.versions if material.best is not None else None
    if versions is not None:
        rows = (
            row("Headcode", versions.headcode),
            row("Python; torch; TransformerLens", f"{versions.python}; {versions.torch}; {versions.transformer_lens}"),
            row("Device and precision of the run in full", f"{versions.device}, {versions.dtype}"),
        )
        blocks.append(Table("What it ran on.", (Column("What"), Column("Value", wide=True)), rows))
    keys = sorted({unit.key for unit in material.detail.units})
    blocks.append(
        Paragraph(
            f"{len(keys)} units; a unit's key is a hash of all that decides its numbers: {_few(keys)}.", quiet=True
        )
    )
    return Section(id="repeat", title="How to repeat it", blocks=tuple(blocks))


def listed_names(nodes: Sequence[str]) -> str:
    """Return the names of a circuit, the first of many."""
    return ", ".join(nodes[:12]) + (f" and {len(nodes) - 12} more" if len(nodes) > 12 else "")


def _labels(unit: SweepUnitRow, material: SweepMaterial) -> str:
    """Return what tells the unit from the others."""
    axes = material.table().axes
    return ", ".join(f"{axis} {value}" for axis, value in unit.labels if axis in axes) or "the only unit"


def _few(values: Sequence[str]) -> str:
    return ", ".join(values[:12]) + (f" and {len(values) - 12} more" if len(values) > 12 else "")
