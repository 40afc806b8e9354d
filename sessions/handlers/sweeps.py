"""Answer requests about sweeps."""

import asyncio
import math
import os
from collections import Counter
from pathlib import Path

import msgspec

from engine.errors import ConfigError, HeadcodeError
from engine.nodes import parse_node
from engine.planning.preflight import Preflight
from engine.planning.run_options import RunOptions
from engine.sweeps.plan import ExampleSource, SweepPlan
from engine.sweeps.pool import PoolSize, pool_size
from sessions.errors import NoSuchRecord
from sessions.handlers.births import births_of, measures_of
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.preflight import preflight
from sessions.protocol import GetPreflight
from sessions.protocol.sweeps import (
    CancelSweep,
    EstimateSweep,
    FollowSweep,
    GatherSweep,
    GetBirths,
    GetSweep,
    GetSweepMeasures,
    ListSweeps,
    RetrySweep,
    StartSweep,
    SweepAnswer,
    SweepBirths,
    SweepDetail,
    SweepEstimate,
    SweepGathered,
    SweepGroup,
    SweepMeasures,
    SweepsAnswer,
)
from sessions.rows import SweepRow
from sessions.store.database import Store
from sessions.store.sweep_units import done_keys, find_sweep, list_sweeps, sweep_row, unit_rows
from sessions.sweeps.executors import find_executor, sbatch_text
from sessions.sweeps.gather import gather_file
from sessions.sweeps.on_slurm.options import jobs_at_once
from sessions.sweeps.records import RecordedSweep, find_recorded, record_plan

_FOLLOW_S = 5.0
_GATHER_S = 0.1
"""Seconds after the first news in which more may come before a follower is answered."""
_MOST_GROUPS = 24
"""Models and sources of examples whose memory and time are estimated; others are like these."""


async def estimate_sweep(host: HandlerContext, request: EstimateSweep) -> SweepEstimate:
    """Estimate memory, workers and time from the memory plan and earlier runs."""
    plan = request.plan
    find_executor(request.on, request.settings)
    done = await host.writer.read(lambda store: done_keys(store, [unit.key for unit in plan.units]))
    groups, free, more = await _groups(host, plan, done)
    left = sum(unit.key not in done for unit in plan.units)
    size = _pool(groups, free, request.workers, sum(group.left for group in groups))
    sbatch = ""
    if request.on == "ray" and request.workers is None:
        size = PoolSize(workers=size.workers, why="if the cluster has room for so many; it decides")
    if request.on == "slurm":
        size = PoolSize(workers=min(jobs_at_once(request.workers), max(1, left)), why="jobs at once (--workers)")
        sbatch = await asyncio.to_thread(sbatch_text, host.places, request.settings, plan.name, size.workers)
    known = [group for group in groups if group.seconds is not None and group.left]
    listed = sum(group.left for group in known)
    hours = None
    if listed:
        mean = sum(group.left * (group.seconds or 0) for group in known) / listed
        hours = mean * math.ceil(left / size.workers) / 3600
    elif not left:
        hours = 0.0
    return SweepEstimate(
        units=len(plan.units),
        done=sum(unit.key in done for unit in plan.units),
        groups=tuple(groups),
        more_groups=more,
        workers=size.workers,
        why=size.why,
        free_bytes=free,
        hours=hours,
        sbatch=sbatch,
    )


async def start_sweep(host: HandlerContext, request: StartSweep) -> SweepAnswer:
    """Record the sweep, then run what is not done."""
    find_executor(request.on, request.settings)
    recorded = await host.writer.change(lambda recorder: record_plan(recorder, request.plan))
    return await _begin(host, recorded, request.plan, request)


async def retry_sweep(host: HandlerContext, request: RetrySweep) -> SweepAnswer:
    """Run the stored units without a finished run again."""
    find_executor(request.on, request.settings)

    def look(store: Store) -> RecordedSweep:
        sweep_id = find_sweep(store, request.sweep)
        states = ("failed",) if request.failed else ("waiting", "failed", "stopped", "interrupted")
        keys = [row.key for row in unit_rows(store, sweep_id) if row.state in states]
        return find_recorded(store, sweep_id, sweep_row(store, sweep_id).name, keys)

    recorded = await host.writer.read(look)
    return await _begin(host, recorded, _plan_of(recorded), request)


async def _begin(
    host: HandlerContext, recorded: RecordedSweep, plan: SweepPlan, request: StartSweep | RetrySweep
) -> SweepAnswer:
    left = sum(each.unit.key not in recorded.done for each in recorded.units)
    if left:
        number, peak = request.workers or 0, None
        if request.on != "local" or not number:
            groups, free, _ = await _groups(host, plan, set(recorded.done))
            peak = max((group.peak_bytes for group in groups if group.peak_bytes and group.left), default=None)
            if request.on == "local":
                number = _pool(groups, free, None, left).workers
        await host.sweeps.start(
            recorded, on=request.on, workers=min(number, left), settings=request.settings, peak_bytes=peak
        )
    return await _answer(host, recorded.sweep_id)


async def list_all(host: HandlerContext, _: ListSweeps) -> SweepsAnswer:
    """Return all sweeps."""
    return SweepsAnswer(sweeps=tuple(await host.writer.read(list_sweeps)), active=host.sweeps.active)


async def get_sweep(host: HandlerContext, request: GetSweep) -> SweepDetail:
    """Return a sweep with its units."""
    sweep_id = await host.writer.read(lambda store: find_sweep(store, request.sweep))
    row = await host.writer.read(lambda store: sweep_row(store, sweep_id))
    units = await host.writer.read(lambda store: unit_rows(store, sweep_id))
    return SweepDetail(sweep=row, units=tuple(units), progress=host.sweeps.progress(sweep_id))


async def get_measures(host: HandlerContext, request: GetSweepMeasures) -> SweepMeasures:
    """Return what the finished runs of a sweep found."""
    node = None
    if request.node:
        node = parse_node(request.node)
        if node is None:
            raise ConfigError(f"{request.node!r} is not a node.", hint="Nodes are written 1.2, m3 or emb.")

    found = await host.writer.read(
        lambda store: measures_of(store, find_sweep(store, request.sweep), request.measure, node)
    )
    return SweepMeasures(nodes=found.nodes, runs=found.runs)


async def get_births(host: HandlerContext, request: GetBirths) -> SweepBirths:
    """Return the births of a sweep; what was fitted before is remembered."""
    row = await host.writer.read(lambda store: sweep_row(store, find_sweep(store, request.sweep)))
    return SweepBirths(sweep=row, tables=await births_of(host, row.sweep_id, request.measure))


async def follow_sweep(host: HandlerContext, request: FollowSweep) -> SweepAnswer:
    """Wait for news of the sweep; those of a tenth of a second come in one answer.

    A unit has dozens, and the answer to each would cost the host as much as the unit costs the engine. The store is
    asked only if a unit has ended since the last answer.
    """
    sweep_id = host.sweeps.find_active(request.sweep)
    if sweep_id is None:
        sweep_id = await host.writer.read(lambda store: find_sweep(store, request.sweep))
    await host.sweeps.wait_for_news(request.seen, within_s=_FOLLOW_S)
    if request.seen >= 0:
        await asyncio.sleep(_GATHER_S)
    progress, rows = host.sweeps.progress(sweep_id), host.get_state(_FollowedRows).rows
    counts = (progress.units, progress.done, progress.failed)
    known = rows.get(sweep_id) if progress.active and request.seen >= 0 else None
    if known is None or known[0] != counts:
        rows.clear()
        known = rows[sweep_id] = counts, await host.writer.read(lambda store: sweep_row(store, sweep_id))
    return SweepAnswer(sweep=known[1], progress=progress)


class _FollowedRows:
    """The row of the sweep that was followed last, and how many of its units had ended."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[tuple[int, int, int], SweepRow]] = {}


async def cancel_sweep(host: HandlerContext, request: CancelSweep) -> SweepAnswer:
    """Stop the sweep."""
    sweep_id = await host.writer.read(lambda store: find_sweep(store, request.sweep))
    await host.sweeps.cancel(sweep_id)
    return await _answer(host, sweep_id)


async def gather_sweep(host: HandlerContext, request: GatherSweep) -> SweepGathered:
    """Take the bundles of a folder into the sweep, one after the other."""
    sweep_id = await host.writer.read(lambda store: find_sweep(store, request.sweep))
    folder = Path(request.folder)
    if not await asyncio.to_thread(folder.is_dir):
        raise NoSuchRecord(f"There is no folder {str(folder)!r}.", hint="Give the folder with the units' files.")
    new = known = 0
    refused: list[str] = []
    for path in sorted(await asyncio.to_thread(lambda: list(folder.glob("*.headcode")))):
        try:
            taken = gather_file(host.writer, path, sweep_id=sweep_id, places=host.places, versions=host.sweeps.versions)
            if await taken:
                new += 1
            else:
                known += 1
        except (HeadcodeError, OSError) as error:
            refused.append(f"{path.name}: {error}")
    row = await host.writer.read(lambda store: sweep_row(store, sweep_id))
    return SweepGathered(sweep=row, new=new, known=known, refused=tuple(refused))


async def _answer(host: HandlerContext, sweep_id: str) -> SweepAnswer:
    row = await host.writer.read(lambda store: sweep_row(store, sweep_id))
    return SweepAnswer(sweep=row, progress=host.sweeps.progress(sweep_id))


async def _groups(
    host: HandlerContext, plan: SweepPlan, done: "set[str] | frozenset[str]"
) -> tuple[list[SweepGroup], int | None, int]:
    """Return the estimates by model and source, free bytes, and the number of groups left out."""
    counts = Counter((unit.model, unit.source) for unit in plan.units)
    left = Counter((unit.model, unit.source) for unit in plan.units if unit.key not in done)
    free: int | None = None
    groups = []
    for model, number in list(counts)[:_MOST_GROUPS]:
        source = plan.sources[number]
        used = dict.fromkeys(unit.options for unit in plan.units if (unit.model, unit.source) == (model, number))
        tried = [
            await _preflight(host, msgspec.structs.replace(options, model=model), source)
            for options in _heaviest([plan.options[index] for index in used])
        ]
        free = next((found.free_bytes for found in tried if found.free_bytes is not None), free)
        peaks = [found.peak_bytes for found in tried if found.peak_bytes is not None]
        seconds = [found.duration.seconds for found in tried if found.duration is not None]
        groups.append(
            SweepGroup(
                model=model,
                source=source.label,
                units=counts[model, number],
                left=left[model, number],
                peak_bytes=max(peaks, default=None),
                seconds=sum(seconds) / len(seconds) if seconds else None,
                trouble=tried[0].trouble,
            )
        )
    return groups, free, len(counts) - len(groups)


def _heaviest(options: list[RunOptions]) -> list[RunOptions]:
    """Return a few of the settings: the one with the largest arrays, and those at both ends."""
    largest = max(options, key=lambda each: len(each.config.seeds) * each.config.sae.n_codes)
    return list(dict.fromkeys((largest, options[0], options[-1])))


async def _preflight(host: HandlerContext, options: RunOptions, source: ExampleSource) -> Preflight:
    question = GetPreflight(options=options, examples=source.examples, task=source.task, pairs=source.pairs)
    return await preflight(host, question, as_warm=True)


def _pool(groups: list[SweepGroup], free: int | None, wanted: int | None, left: int) -> PoolSize:
    peaks = [group.peak_bytes for group in groups if group.peak_bytes is not None and group.left]
    return pool_size(peak_bytes=max(peaks, default=None), free_bytes=free, cores=_cores(), units=left, wanted=wanted)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _plan_of(recorded: RecordedSweep) -> SweepPlan:
    """Return a plan of the recorded units, to estimate them."""
    sources = list(dict.fromkeys(each.source for each in recorded.units))
    options = list(dict.fromkeys(each.options for each in recorded.units))
    units = tuple(
        msgspec.structs.replace(each.unit, source=sources.index(each.source), options=options.index(each.options))
        for each in recorded.units
    )
    return SweepPlan(name=recorded.name, sources=tuple(sources), options=tuple(options), units=units)


ANSWERS: dict[type, Answer] = {
    EstimateSweep: estimate_sweep,
    StartSweep: start_sweep,
    RetrySweep: retry_sweep,
    ListSweeps: list_all,
    GetSweep: get_sweep,
    GetSweepMeasures: get_measures,
    GetBirths: get_births,
    FollowSweep: follow_sweep,
    CancelSweep: cancel_sweep,
    GatherSweep: gather_sweep,
}
SLOW: frozenset[type] = frozenset(
    {EstimateSweep, StartSweep, RetrySweep, FollowSweep, CancelSweep, GatherSweep, GetBirths}
)
