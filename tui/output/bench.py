"""A benchmark as tables for a paper, as Markdown, and as JSON."""

from collections.abc import Collection, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from engine.analysis.benchmark import NO_RECIPE, RANDOM, BenchmarkResult, BenchmarkRow, benchmark_rows
from engine.analysis.ranking_metrics import QUALITIES
from engine.errors import ConfigError
from engine.measures import DEFAULT_MEASURE, MEASURES
from engine.references.ground_truth import LEVEL_WORDS, GroundTruth
from engine.references.published import published_circuit
from tui.output.console import OutputStyle, make_console
from tui.output.grid import format_short
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = "headcode.bench-circuits/1"
TITLES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "precision_at_size": "precision at the circuit's size",
    "f1": "F1 at the best cut",
}
_RARELY = frozenset({"unique_negative", "stability", "p_value", "q_value"})
"""Measures that do not rank heads: printed only on request, but always in the JSON."""
_WITH_SPREAD = 8
"""Columns of .974±.01."""
_BASELINES = frozenset(measure.id for measure in MEASURES if measure.baseline) - {"baseline_random"}
_CAUSES = frozenset(measure.id for measure in MEASURES if measure.cause)
PAPER = "paper"
"""The recipe of lines that a paper reports; nothing of them was run here."""


class BenchTable(msgspec.Struct, frozen=True, kw_only=True):
    """One printed table: a row per measure, a column per task."""

    title: str
    tasks: tuple[str, ...]
    n_true: tuple[str, ...]
    """For each task, how many are true of how many."""
    lines: tuple["BenchLine", ...]
    notes: tuple[str, ...] = ()
    """Where the paper's lines are from."""


class BenchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One measure. None where a task has no value."""

    measure: str
    recipe: str
    values: tuple[float | None, ...]
    spreads: tuple[float | None, ...]
    mean: float | None
    """Mean over all tasks; None if one of them has no value."""
    seconds: float | None
    """None: not run here."""


def check_quality(name: str) -> str:
    """Return the name if it is one of the four qualities. Raises ConfigError with the list."""
    if name not in QUALITIES:
        raise ConfigError(f"--by {name}: there is no such quality.", hint=f"There are: {', '.join(QUALITIES)}.")
    return name


def bench_tables(rows: Sequence[BenchmarkRow], by: str = "auc", only: Collection[str] = ()) -> list[BenchTable]:
    """Return tables of one quality, one for each model, level, cut and number of examples."""
    shown = [row for row in rows if only or row.measure not in _RARELY]
    found = []
    for key in dict.fromkeys(_table_of(row) for row in shown):
        own = [row for row in shown if _table_of(row) == key]
        tasks = tuple(dict.fromkeys(row.task for row in own))
        lines = [_line(own, tasks, by, *name) for name in dict.fromkeys((row.measure, row.recipe) for row in own)]
        numbers = {row.task: f"{row.n_true} of {row.n_all}" for row in own}
        reported, notes = _reported(own[0], tasks, by, only)
        found.append(
            BenchTable(
                title=_title(own, by),
                tasks=tasks,
                n_true=tuple(numbers[task] for task in tasks),
                lines=(*sorted(lines, key=_order), *reported),
                notes=notes,
            )
        )
    return found


def print_tables(tables: Sequence[BenchTable], output: OutputStyle) -> None:
    """Print the tables on stdout; with colours, the best value of each column is bold."""
    from rich.text import Text

    console = make_console(output)
    strong = "bold" if output.colours != "none" else ""
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(Text(clean(table.title), style=strong), soft_wrap=True)
        console.print(_drawn(table, output, strong), soft_wrap=True)
        for text in summary(table):
            console.print(Text(text), soft_wrap=True)


def _drawn(table: BenchTable, output: OutputStyle, strong: str) -> "Table":
    """Return the table as it fits, with spreads if there is room."""
    from rich.table import Table
    from rich.text import Text

    wide = max([12, *(len(line.measure) for line in table.lines)]) + 1
    column = max(5, min(9, (output.width - wide - 11) // max(1, len(table.tasks)) - 1))
    spreads = column >= _WITH_SPREAD
    drawn = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style=strong, show_edge=False)
    drawn.add_column("measure", no_wrap=True, vertical="bottom", min_width=wide - 1)
    for task, n_true in zip(table.tasks, table.n_true, strict=True):
        header = "\n".join([*_pieces(task, column), *n_true.split(" of ", 1)[:1], f"of {n_true.split(' of ')[1]}"])
        drawn.add_column(Text(header, style=strong), justify="right", vertical="bottom", no_wrap=True)
    drawn.add_column("mean", justify="right", vertical="bottom", no_wrap=True)
    drawn.add_column("s", justify="right", vertical="bottom", no_wrap=True)
    best, group = _best(table), ""
    for line in table.lines:
        if _group(line) != group:
            group = _group(line)
            drawn.add_row(Text(group, style="italic" if strong else ""))
        cells = [
            Text(
                _format_quality(value, spread if spreads else None),
                style=strong if value is not None and value == top and line.recipe != PAPER else "",
            )
            for value, spread, top in zip(line.values, line.spreads, best, strict=False)
        ]
        top = Text(
            _format_quality(line.mean),
            style=strong if line.mean is not None and line.mean == best[-1] and line.recipe != PAPER else "",
        )
        drawn.add_row(f" {line.measure}", *cells, top, Text(_format_seconds(line)))
    return drawn


def _group(line: BenchLine) -> str:
    kind = _order(line)[0]
    return f"{line.recipe} recipe" if kind == 0 else ("", "effects", "no SAE", "chance", "in the paper")[kind]


def _format_seconds(line: BenchLine) -> str:
    return "" if line.seconds is None else format_short(line.seconds)


def _pieces(task: str, width: int) -> list[str]:
    """Split the task's name into lines of that width."""
    lines: list[str] = []
    for word in task.split("_"):
        while word:
            lines.append(word[:width] if len(word) <= width else f"{word[: width - 1]}-")
            word = word[width:] if len(word) <= width else word[width - 1 :]
    return lines


def markdown(tables: Sequence[BenchTable]) -> str:
    """Return the tables as Markdown, with spreads after ± and the best of each column bold."""
    parts = []
    for table in tables:
        header = ["measure", "recipe", *(f"{t} ({n})" for t, n in zip(table.tasks, table.n_true, strict=True))]
        rows = [[*header, "mean", "seconds"], ["---"] * (len(header) + 2)]
        best = _best(table)
        for line in table.lines:
            cells = [_format_quality(value, spread) for value, spread in zip(line.values, line.spreads, strict=True)]
            cells.append(_format_quality(line.mean))
            marked = [
                f"**{text}**" if value is not None and value == top and line.recipe != PAPER else text
                for text, value, top in zip(cells, (*line.values, line.mean), best, strict=True)
            ]
            recipe = "" if line.recipe == NO_RECIPE else line.recipe
            rows.append([line.measure, recipe, *marked, _format_seconds(line)])
        lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        parts.append("\n\n".join([table.title, lines, "\n".join(summary(table))]).rstrip())
    return "\n\n".join(parts) + "\n"


def summary(table: BenchTable) -> list[str]:
    """Return a summary of the table: the best of each kind by the mean over tasks."""
    best_of = []
    for number, kind in ((0, "codes"), (2, "no SAE"), (1, "effects")):
        known = [line for line in table.lines if _order(line)[0] == number and line.mean is not None]
        if known:
            line = max(known, key=lambda line: line.mean or 0.0)
            recipe = "" if line.recipe == NO_RECIPE else f", {line.recipe}"
            best_of.append(f"{kind} {_format_quality(line.mean)} ({line.measure}{recipe})")
    lines = [f"best: {'; '.join(best_of)}."] if best_of else []
    return [*lines, *_against_baselines(table), *table.notes]


def _against_baselines(table: BenchTable) -> list[str]:
    """Return on how many tasks the code measure with the best mean beats everything that needs no SAE."""
    codes = [line for line in table.lines if _order(line)[0] == 0 and line.mean is not None]
    baselines = [line.values for line in table.lines if _order(line)[0] == 2]
    if not codes or not baselines or len(table.tasks) < 2:
        return []
    best = max(codes, key=lambda line: line.mean or 0.0)
    above = sum(
        value is not None and all(other is not None and value > other for other in others)
        for value, others in zip(best.values, zip(*baselines, strict=True), strict=True)
    )
    return [
        f"{best.measure}, {best.recipe}: above every measure without an SAE on {above} of {len(table.tasks)} tasks."
    ]


def bench_json(
    rows: Sequence[BenchmarkRow],
    *,
    session: str,
    session_id: str,
    done: int,
    total: int,
    left_out: Sequence[tuple[str, str, str]],
) -> dict[str, object]:
    """Return the benchmark as JSON; docs/bench.md names every field."""
    return {
        "schema": SCHEMA,
        "session": session,
        "session_id": session_id,
        "runs_done": done,
        "runs": total,
        "left_out": [{"model": model, "task": task or None, "why": why} for model, task, why in left_out],
        "rows": msgspec.to_builtins(list(rows)),
        "reported": _reported_json(rows),
    }


def format_finding(taken: BenchmarkResult, truths: Sequence[GroundTruth]) -> str:
    """Format what one run found: AUC total variation .97, combined 1.0."""
    rows = benchmark_rows([taken], {(taken.cell.model, taken.cell.task): truths}, (DEFAULT_MEASURE.id, "combined"))
    values: dict[str, str] = {}
    for row in rows:
        values.setdefault(
            DEFAULT_MEASURE.title if row.measure == DEFAULT_MEASURE.id else row.measure, _format_quality(row.auc)
        )
    return f"AUC {', '.join(f'{name} {value}' for name, value in values.items())}; " if values else ""


def _reported(
    row: BenchmarkRow, tasks: Sequence[str], by: str, only: Collection[str]
) -> tuple[list[BenchLine], tuple[str, ...]]:
    """Return what a paper reports for these heads, and its source; nothing where the truth is not a published one."""
    if by != "auc" or row.level != "heads" or row.cut is not None:
        return [], ()
    circuits = {task: published_circuit(row.model, task) for task in tasks}
    reports = {task: circuit.report for task, circuit in circuits.items() if circuit and circuit.report}
    aucs = {task: {each.measure or each.method: each for each in report.aucs} for task, report in reports.items()}
    lines = []
    for name in dict.fromkeys(name for found in aucs.values() for name in found if not only or name in only):
        mine = [aucs.get(task, {}).get(name) for task in tasks]
        values = tuple(each.auc if each else None for each in mine)
        known = [value for value in values if value is not None]
        lines.append(
            BenchLine(
                measure=name,
                recipe=PAPER,
                values=values,
                spreads=tuple(each.spread if each else None for each in mine),
                mean=fmean(known) if len(known) == len(values) else None,
                seconds=None,
            )
        )
    sources = [f"the paper: {source}." for source in dict.fromkeys(report.source for report in reports.values())]
    differences = [f"the paper, {task}: {report.differs}." for task, report in reports.items() if report.differs]
    return lines, (*sources, *differences) if lines else ()


def _reported_json(rows: Sequence[BenchmarkRow]) -> list[dict[str, object]]:
    tasks = dict.fromkeys((row.model, row.task) for row in rows if row.level == "heads" and row.cut is None)
    found: list[dict[str, object]] = []
    for model, task in tasks:
        circuit = published_circuit(model, task)
        if circuit is not None and circuit.report is not None:
            about = {"model": model, "task": task, "source": circuit.report.source, "differs": circuit.report.differs}
            found += [{**about, **msgspec.to_builtins(each)} for each in circuit.report.aucs]
    return found


def _line(own: Sequence[BenchmarkRow], tasks: Sequence[str], by: str, measure: str, recipe: str) -> BenchLine:
    mine = {row.task: row for row in own if (row.measure, row.recipe) == (measure, recipe)}
    values = tuple(getattr(mine[task], by) if task in mine else None for task in tasks)
    known = [value for value in values if value is not None]
    return BenchLine(
        measure=measure,
        recipe=recipe,
        values=values,
        spreads=tuple(mine[task].spreads.get(by) if task in mine else None for task in tasks),
        mean=fmean(known) if len(known) == len(values) else None,
        seconds=fmean(row.seconds for row in mine.values()),
    )


def _order(line: BenchLine) -> tuple[int, str, int]:
    """Return the sort key: codes by recipe, effects, baselines, chance, a paper; within them by the engine's table."""
    if line.recipe == PAPER:
        return 4, "", 0
    place = next((number for number, measure in enumerate(MEASURES) if measure.id == line.measure), 0)
    kind = 3 if line.measure == RANDOM else 2 if line.measure in _BASELINES else 1 if line.measure in _CAUSES else 0
    return kind, line.recipe if kind == 0 else "", place


def _table_of(row: BenchmarkRow) -> tuple[object, ...]:
    return (row.model, row.level, row.cut, row.examples, row.usable, row.dtype)


def _title(own: Sequence[BenchmarkRow], by: str) -> str:
    row = own[0]
    draws = {each.draws for each in own}
    several = f"{min(draws)} to {max(draws)}" if len(draws) > 1 else str(row.draws)
    drawn = f"{several} draw{'s' if max(draws) > 1 else ''} of {row.examples} + {row.examples} prompts"
    drawn += " of pairs the model can do" if row.usable else ""
    words = LEVEL_WORDS[row.level]
    if row.cut is not None and row.level != "edges":
        true = f"{words} with an effect of at least {row.cut:.0%} of the base"
    else:
        true = f"the circuit's {words} ({row.truth})"
    return f"{row.model}, {words}: {TITLES[by]} for finding {true}; {drawn}; {row.dtype}"


def _best(table: BenchTable) -> list[float | None]:
    lines = [line for line in table.lines if line.recipe != PAPER]
    columns = [*zip(*(line.values for line in lines), strict=True), tuple(line.mean for line in lines)]
    return [max((value for value in column if value is not None), default=None) for column in columns]


def _format_quality(value: float | None, spread: float | None = None) -> str:
    """Format .974, or .974±.01; 1.0 for a perfect value."""
    if value is None:
        return "-"
    text = "1.0" if value >= 0.9995 else f"{value:.3f}".removeprefix("0")
    return text if spread is None else f"{text}±{f'{spread:.2f}'.removeprefix('0')}"
