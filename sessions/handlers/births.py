"""Births of sweeps: read the runs, fit on a thread of their own, remember what was fitted."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from engine.errors import ConfigError
from engine.measures import DEFAULT_MEASURE, find_measure
from engine.nodes import NodeId
from engine.sweeps.births import BirthTable, CheckpointRun, birth_table, share_units
from engine.sweeps.example_resamples import PairDone, PartOfRun
from engine.sweeps.plan import Labels
from engine.sweeps.run_measures import RunMeasures
from engine.sweeps.series import CHECKPOINT, DRAW, series_of, step_of_labels
from engine.sweeps.transitions import Gap, Transition
from sessions.handlers.context import HandlerContext
from sessions.rows import SweepUnitRow
from sessions.store.database import Store
from sessions.store.sweep_measures import SweepMeasureRows, effect_parts, pairs_done, sweep_measures
from sessions.store.sweep_units import list_sweeps, unit_rows

EFFECT = "exact_effect"
_COLUMNS = (
    *("verdict", "midpoint", "earliest", "latest", "begins", "ends", "width", "unfinished", "before", "after"),
    "explained",
)
"""Fields of a transition that are columns of the view, in its order."""
_REMEMBERED = 64
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="births")
"""One: fits are plain Python, and more threads would not be faster."""


class _Fitted:
    """Tables fitted before, by sweep, series and measure, with the runs they are of."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, Labels, str], tuple[tuple[CheckpointRun, ...], BirthTable]] = {}


def measures_of(store: Store, sweep_id: str, measure: str, node: NodeId | None) -> SweepMeasureRows:
    """Return what the finished runs of a sweep found, effects with what they are shares of."""
    units = {unit.run_id: unit for unit in unit_rows(store, sweep_id) if unit.state == "done" and unit.run_id}
    found = sweep_measures(store, [(run_id, unit.model) for run_id, unit in units.items() if run_id], measure, node)
    if all(run.base is None for run in found.runs):
        return found

    def key(run: RunMeasures) -> Labels:
        return tuple(pair for pair in units[run.run_id].labels if pair[0] != CHECKPOINT)

    shares = share_units((key(run), run.base) for run in found.runs)
    runs = (msgspec.structs.replace(run, unit=unit) for run, unit in zip(found.runs, shares, strict=True))
    return SweepMeasureRows(nodes=found.nodes, runs=tuple(runs))


async def births_of(host: HandlerContext, sweep_id: str, measure: str) -> tuple[BirthTable, ...]:
    """Return the births of each series of the sweep. Raises ConfigError for a measure that does not exist."""
    if measure:
        measure = find_measure(measure).id
    series, used = await host.writer.read(lambda store: checkpoint_runs(store, sweep_id, measure))
    fitted = host.get_state(_Fitted)
    tables = []
    for labels, runs in series.items():
        key = (sweep_id, labels, used)
        known = fitted.tables.pop(key, None)
        if known is None or known[0] != runs:
            fit = partial(birth_table, runs, measure=used, labels=labels)
            table = await asyncio.get_running_loop().run_in_executor(_THREAD, fit)
            known = (runs, table)
        fitted.tables[key] = known
        while len(fitted.tables) > _REMEMBERED:
            fitted.tables.pop(next(iter(fitted.tables)))
        tables.append(known[1])
    return tuple(tables)


async def birth_rows(host: HandlerContext) -> list[tuple[object, ...]]:
    """Return the rows of the SQL view births: of every sweep over checkpoints, by its own measure."""
    rows: list[tuple[object, ...]] = []
    for sweep in await host.writer.read(list_sweeps):
        for table in await births_of(host, sweep.sweep_id, ""):
            rows += table_rows(sweep.sweep_id, sweep.name, table)
    return rows


def table_rows(sweep_id: str, name: str, table: BirthTable) -> list[tuple[object, ...]]:
    """Return the rows of one table: metrics, then nodes with their place among them."""
    parts: list[tuple[str, str, Transition, Gap | None]]
    parts = [("metric", each.name, each.transition, None) for each in table.metrics]
    parts += [("node", each.node, each.transition, each.gap) for each in table.nodes]
    labels = msgspec.json.encode(dict(table.labels)).decode()
    return [
        (
            *(sweep_id, name, labels, table.measure, kind, node),
            place - len(table.metrics) + 1 if kind == "node" else None,
            *(getattr(found, field) for field in _COLUMNS),
            *((None,) * 3 if gap is None else (gap.steps, gap.least, gap.most)),
            *(table.draws, len(table.steps)),
        )
        for place, (kind, node, found, gap) in enumerate(parts)
    ]


def checkpoint_runs(store: Store, sweep_id: str, measure: str) -> tuple[dict[Labels, tuple[CheckpointRun, ...]], str]:
    """Return the finished runs at checkpoints by series, and the measure: exact effects, if all have them."""
    units = [unit for unit in unit_rows(store, sweep_id) if unit.state == "done" and unit.run_id]
    units = [unit for unit in units if step_of_labels(unit.labels) is not None]
    runs = list({unit.run_id: unit.model for unit in units if unit.run_id}.items())
    if measure:
        found = sweep_measures(store, runs, measure)
    else:
        measure, found = EFFECT, sweep_measures(store, runs, EFFECT)
        if not found.runs or any(run.base is None for run in found.runs):
            measure, found = DEFAULT_MEASURE.id, sweep_measures(store, runs, DEFAULT_MEASURE.id)
    if runs and not found.nodes:
        raise ConfigError(
            f"No run of this sweep has {find_measure(measure).title}.",
            hint="Effects need --cause exact (or attribution) in the sweep.",
        )
    pairs = pairs_done(store, runs)
    parts = effect_parts(store, [run_id for run_id, _ in runs]) if measure == EFFECT else {}
    return _by_series(units, found, pairs, parts), measure


def _by_series(
    units: list[SweepUnitRow],
    found: SweepMeasureRows,
    pairs: dict[str, tuple[PairDone, ...]],
    parts: dict[str, tuple[PartOfRun, ...]],
) -> dict[Labels, tuple[CheckpointRun, ...]]:
    by_run = {run.run_id: run for run in found.runs}
    series: dict[Labels, list[CheckpointRun]] = {}
    for unit in units:
        run, step = by_run[unit.run_id or ""], step_of_labels(unit.labels)
        assert step is not None
        values = dict(zip(found.nodes, run.values, strict=True))
        series.setdefault(series_of(unit.labels), []).append(
            CheckpointRun(
                step=step,
                draw=dict(unit.labels).get(DRAW, "0"),
                examples=run.examples,
                accuracy=run.accuracy,
                trained=run.trained,
                held_out=run.held_out,
                values=values,
                base=run.base,
                circuit=run.circuit,
                pairs=pairs.get(run.run_id, ()),
                parts=parts.get(run.run_id, ()),
            )
        )
    return {labels: tuple(runs) for labels, runs in series.items()}
