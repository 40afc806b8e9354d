"""Every executor in one table: what runs it, and what to install for it."""

from collections.abc import Callable

import msgspec

from engine.errors import ConfigError
from sessions.services.run_queue import RunQueue
from sessions.sweeps.executor import Executor, ReportTo
from sessions.sweeps.local_executor import LocalExecutor


class ExecutorContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor may use."""

    runs: RunQueue
    workers: int
    report: ReportTo


class ExecutorKind(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run a sweep."""

    name: str
    about: str
    make: Callable[[ExecutorContext], Executor] | None = None
    """None: this version cannot run it."""
    extra: str = ""
    """The optional dependencies that it needs, as `headcode[NAME]`; empty: none."""


def _local(context: ExecutorContext) -> Executor:
    return LocalExecutor(context.runs, context.report, workers=context.workers)


EXECUTORS: dict[str, ExecutorKind] = {
    kind.name: kind
    for kind in (
        ExecutorKind(name="local", about="workers on this machine", make=_local),
        ExecutorKind(name="ray", about="actors of a Ray cluster", extra="ray"),
        ExecutorKind(name="slurm", about="jobs of a Slurm cluster", extra="slurm"),
    )
}


def find_executor(name: str) -> Callable[[ExecutorContext], Executor]:
    """Return what makes the executor. Raises ConfigError with those that there are, or with what to install."""
    kind = EXECUTORS.get(name)
    if kind is None:
        raise ConfigError(f"--on {name}: there is no such executor.", hint=f"One of {', '.join(EXECUTORS)}.")
    if kind.make is None:
        raise ConfigError(
            f"--on {name} is not in this version: it cannot run units as {kind.about}.",
            hint=f"Use --on local; a version that has it needs pip install 'headcode[{kind.extra}]'.",
        )
    return kind.make
