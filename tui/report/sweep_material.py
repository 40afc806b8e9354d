"""What a report of a sweep is made of: its units, what their runs found, births, and its best run as a run's report."""

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from engine.errors import HeadcodeError
from engine.measures import DEFAULT_MEASURE
from engine.sweeps.births import BirthTable
from engine.sweeps.plan import SweepPlan, axes_of_labels
from engine.sweeps.run_measures import MEASURES, CellMeasure, RunMeasures
from sessions.events import LogEntry, SweepPlanned
from sessions.protocol import GetBirths, GetSweep, GetSweepMeasures, SweepBirths, SweepDetail, SweepMeasures
from sessions.rows import SweepUnitRow
from tui.headless.stored_run import FactsSource, read_facts
from tui.report.material import Material
from tui.state.sweep_table import SweepTable

_DRAW = "draw"


class SweepMaterial(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep and what was read of it."""

    detail: SweepDetail
    found: Mapping[str, SweepMeasures]
    """By the measure of nodes; "" has what runs found without one."""
    births: tuple[BirthTable, ...] = ()
    best: Material | None = None
    """The run that is shown in full."""
    plan: SweepPlan | None = None
    """As the first session of the sweep recorded it: number of pairs, and whether only usable ones."""
    units: Mapping[str, RunMeasures] = {}
    """What each run found, by run id."""

    @property
    def name(self) -> str:
        return self.detail.sweep.name

    @property
    def done(self) -> list[SweepUnitRow]:
        """Units with a finished run."""
        return [unit for unit in self.detail.units if unit.state == "done"]

    def measures(self) -> list[CellMeasure]:
        """Return the measures that some run has a value of."""
        return [measure for measure in MEASURES if self._has(measure)]

    def table(self) -> SweepTable:
        """Return the table of the workbench: axes, pages and values."""
        table = SweepTable()
        table.take_detail(self.detail)
        table.take_measures(self.found[DEFAULT_MEASURE.id], (DEFAULT_MEASURE.id, ""))
        return table

    def _has(self, measure: CellMeasure) -> bool:
        runs = self.found[""].runs
        match measure.kind:
            case "auc":
                return any(run.auc is not None for run in runs)
            case "accuracy":
                return any(run.accuracy is not None for run in runs)
            case "node":
                return measure.of is not None and bool(self.found[measure.of.id].nodes)
            case "jaccard":
                return len(runs) > 1
            case "verdict":
                return any(run.verdict is not None for run in runs)
            case "seconds":
                return any(unit.seconds is not None for unit in self.done)


async def read_sweep(source: FactsSource, sweep: str, *, load: bool, models: Path) -> SweepMaterial:
    """Return what a report of the sweep is made of. Raises NoSuchRecord, and ConfigError without a finished run."""
    from tui.report.document import read_material

    detail = await source.ask(GetSweep(sweep=sweep), SweepDetail)
    of = ["", *(measure.of.id for measure in MEASURES if measure.of is not None)]
    found = {
        name: await source.ask(GetSweepMeasures(sweep=detail.sweep.sweep_id, measure=name), SweepMeasures)
        for name in of
    }
    births: tuple[BirthTable, ...] = ()
    if any(name == "checkpoint" for unit in detail.units for name, _ in unit.labels):
        births = (await source.ask(GetBirths(sweep=detail.sweep.sweep_id), SweepBirths)).tables
    runs = {run.run_id: run for run in found[""].runs}
    material = SweepMaterial(detail=detail, found=found, births=births, units=runs, plan=await _plan(source, detail))
    unit = best_unit(material)
    if unit is None or unit.run_id is None:
        return material
    (facts,) = await read_facts(source, unit.session_id, {unit.run_id})
    if not facts.picture.nodes or facts.picture.model is None:
        return material
    best = await read_material(source, facts, load=load, models=models, one=False)
    return msgspec.structs.replace(material, best=best)


def best_unit(material: SweepMaterial) -> SweepUnitRow | None:
    """Return the unit to show in full: the highest AUC, else the first that is done; None if none is."""
    aucs = {key: run.auc for key, run in material.units.items() if run.auc is not None}
    done = material.done
    known = [unit for unit in done if unit.run_id in aucs]
    return max(known, key=lambda unit: aucs[unit.run_id or ""]) if known else (done[0] if done else None)


async def _plan(source: FactsSource, detail: SweepDetail) -> SweepPlan | None:
    """Return the plan that a session of the sweep recorded; None if none can be read."""
    session = next((unit.session_id for unit in detail.units if unit.session_id), None)
    if session is None:
        return None
    follow = cast(AsyncGenerator[tuple[LogEntry, ...]], source.follow(session))
    with contextlib.suppress(HeadcodeError):
        async with contextlib.aclosing(follow):
            async for entries in follow:
                for entry in entries:
                    if isinstance(entry.event, SweepPlanned):
                        return entry.event.plan
                break
    return None


def sweep_spec(name: str, units: Sequence[SweepUnitRow], plan: SweepPlan | None) -> str:
    """Return the specification, as a TOML file, that plans the same units: every axis with its values, and pairs.

    A command line cannot say everything that a file can, such as units that have two particular seeds each.
    """
    lines = [f"name = {_quoted(name)}"]
    source = plan.sources[0] if plan is not None and plan.sources else None
    if source is not None and source.pairs:
        lines.append(f"pairs = {source.pairs}")
    if source is not None and source.usable:
        lines.append("usable = true")
    for axis, values in axes_of_labels(unit.labels for unit in units).items():
        listed = ", ".join(map(_quoted, values))
        lines.append(f"{'draws' if axis == _DRAW else axis.replace('-', '_')} = [{listed}]")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return the text as a TOML string, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
