"""Plan, start and follow sweeps over the host, for `headcode sweep`."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.catalog.checkpoint_folders import Checkpoint
from engine.catalog.checkpoints import checkpoints
from engine.errors import ConfigError
from engine.examples import Example
from engine.machine.folders import find_folders
from engine.machine.paths import path_of
from engine.planning.time_estimate import format_seconds
from engine.sweeps.expansion import expand
from engine.sweeps.plan import SweepPlan
from engine.sweeps.spec import MAX_BYTES, SweepSpec, spec_from_toml, spec_from_words
from sessions.client.connection import HostClient
from sessions.protocol import CancelSweep, FollowSweep, GetSweep, RetrySweep, StartSweep, SweepAnswer, SweepDetail
from sessions.protocol.sweeps import ExecutorSettings, SweepProgress
from sessions.sweeps.on_slurm.options import read_options
from tui.headless.interrupt import stop_on_interrupt
from tui.headless.read_examples import load_examples
from tui.output.sweep import count

_SAY_S = 5.0
"""Seconds between two lines about the progress."""


class LocalInputs:
    """What an expansion reads of this machine: files beside the specification, models, checkpoints."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: of the specification's file; files of examples are named from there."""
        self.models = find_folders().models
        self._folder = folder

    def examples(self, name: str) -> tuple[Example, ...]:
        if name == "-":
            raise ConfigError("A sweep cannot read examples from stdin.", hint="Write them to a file.")
        beside = self._folder / name if self._folder is not None else None
        return load_examples(str(beside) if beside is not None and beside.is_file() else name)

    def checkpoints(self, model: str) -> Sequence[Checkpoint]:
        return checkpoints(model)


def read_plan(file: str | None, words: Mapping[str, str], *, name: str | None, pairs: int, usable: bool) -> SweepPlan:
    """Return the sweep of a specification's file, a command line, or both: the command line goes first.

    Raises ConfigError and others for what cannot be used.
    """
    given = spec_from_words(words, name=name, pairs=pairs, usable=usable)
    if file is None:
        return expand(given, LocalInputs())
    path = path_of(file)
    spec = _read(path, file)
    if spec.name is None:
        spec = SweepSpec(name=path.stem, axes=spec.axes, pairs=spec.pairs, usable=spec.usable)
    return expand(spec.merged(given), LocalInputs(path.parent))


def executor_settings(on: str, address: str | None, slurm: str | None) -> ExecutorSettings:
    """Return where a sweep runs, as the command line says it. Raises ConfigError."""
    if address is None and on == "ray":
        address = os.environ.get("RAY_ADDRESS")  # of the host's environment is that of its start
    return ExecutorSettings(address=address or "", slurm=read_options(slurm) if slurm else {})


async def start(client: HostClient, request: StartSweep, *, say: Callable[[str], None], detach: bool) -> SweepDetail:
    """Start the sweep and follow it to its end, or return at once with `detach`."""
    answer = await client.ask(request, SweepAnswer)
    return await _follow(client, answer, say, detach=detach)


async def retry(client: HostClient, request: RetrySweep, *, say: Callable[[str], None], detach: bool) -> SweepDetail:
    """Run the units without a finished run again, and follow them."""
    answer = await client.ask(request, SweepAnswer)
    return await _follow(client, answer, say, detach=detach)


async def _follow(client: HostClient, answer: SweepAnswer, say: Callable[[str], None], *, detach: bool) -> SweepDetail:
    sweep, progress = answer.sweep, answer.progress
    if not progress.active:
        say(f"{sweep.name}: {'nothing to run' if sweep.left else f'all {sweep.units} units are done already'}")
    else:
        known = sweep.units - progress.units
        done = f", {known} done already" if known > 0 else ""
        # Workers of a cluster join one after the other.
        where = count(len(progress.workers), "worker") if progress.workers else progress.on
        say(f"{sweep.name}: {count(progress.units, 'unit')} on {where}{done}")
    if detach or not progress.active:
        return await client.ask(GetSweep(sweep=sweep.sweep_id), SweepDetail)
    shown, said, told = time.monotonic(), "", set[str]()
    news, active = progress.news, True
    with stop_on_interrupt(lambda _: client.ask(CancelSweep(sweep=sweep.sweep_id), SweepAnswer), say):
        while active:
            now = (await client.ask(FollowSweep(sweep=sweep.sweep_id, seen=news), SweepAnswer)).progress
            news, active = now.news, now.active
            for problem in now.problems:
                if problem.run_id not in told:
                    told.add(problem.run_id)
                    say(f"  {problem.unit}: {problem.message}{' Trying again.' if problem.again else ''}")
            words = format_progress(now)
            if words != said and time.monotonic() - shown >= _SAY_S:
                say(f"  {words}")
                shown, said = time.monotonic(), words
    return await client.ask(GetSweep(sweep=sweep.sweep_id), SweepDetail)


def format_progress(progress: SweepProgress) -> str:
    """Return how far a sweep is, in one line."""
    parts = [f"{progress.done} of {progress.units} done"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.active:
        busy = sum(worker.run_id is not None for worker in progress.workers)
        parts.append(f"{busy} of {count(len(progress.workers), 'worker')} busy")
    if progress.left_s is not None:
        parts.append(f"about {format_seconds(progress.left_s)} left")
    return ", ".join(parts)


def _read(path: Path, shown: str) -> SweepSpec:
    if path.is_dir() or not path.exists():
        raise ConfigError(
            f"There is no specification {shown!r}.", hint="Give a TOML file, or axes: --task ioi --seeds 0..9"
        )
    try:
        with path.open("rb") as file:
            text = file.read(4 * MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown} cannot be read: {error}.", hint="Give a TOML file, saved as UTF-8.") from error
    return spec_from_toml(text, source=shown)
