"""Options of sbatch as people give them: `--slurm partition=gpu,gres=gpu:1,time=2:00:00`."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from engine.machine.paths import path_of

_DEFAULT_MINUTES = 240
_DEFAULT_JOBS = 4
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_TAKEN = frozenset({"array", "output", "error", "open-mode", "signal", "job-name", "ntasks", "nodes", "requeue"})
"""Options that follow from how units are run."""


class SlurmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are submitted."""

    cluster: str = "slurm"
    """slurm, or local: the same jobs as processes of this machine, without Slurm."""
    folder: str = ""
    """On a file system that all nodes see; empty: the host's data folder."""
    minutes: int = _DEFAULT_MINUTES
    """Time limit of a job."""
    sbatch: dict[str, str] = {}
    """Everything else, as sbatch names it, without dashes."""


def read_options(text: str) -> dict[str, str]:
    """Return the options of a command line, NAME=VALUE by commas; a value may have commas: gres=gpu:1,shard:2.

    Raises ConfigError.
    """
    found: dict[str, str] = {}
    last = ""
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals and last:
            found[last] += f",{part}"
            continue
        last = name.strip().removeprefix("--").replace("_", "-")
        if not _NAME.fullmatch(last) or (equals and not value.strip()):
            raise ConfigError(
                f"--slurm {text!r}: {part!r} is no option.",
                hint="NAME=VALUE by commas, as sbatch calls them: --slurm partition=gpu,gres=gpu:1,time=2:00:00",
            )
        found[last] = value.strip()
    return found


def slurm_options(given: Mapping[str, str]) -> SlurmOptions:
    """Return how jobs are submitted. Raises ConfigError for what cannot be passed on."""
    rest = dict(given)
    cluster = rest.pop("cluster", "slurm")
    if cluster not in ("slurm", "local"):
        raise ConfigError(f"--slurm cluster={cluster}: there is no such kind.", hint="slurm, or local to try it.")
    folder = rest.pop("folder", "")
    minutes = _minutes(rest.pop("time")) if "time" in rest else _DEFAULT_MINUTES
    for name in rest:
        if name in _TAKEN:
            raise ConfigError(
                f"--slurm {name}=… cannot be given: it follows from how units are run.",
                hint="partition, account, qos, time, gres, mem, cpus-per-task, constraint and others can.",
            )
    return SlurmOptions(
        cluster=cluster,
        folder=str(Path.cwd() / path_of(folder)) if folder else "",
        minutes=minutes,
        sbatch=rest,
    )


def jobs_at_once(workers: int | None) -> int:
    """Return how many jobs run at the same time at most."""
    return workers or _DEFAULT_JOBS


def _minutes(text: str) -> int:
    """Return a time limit in minutes, rounded up: as sbatch reads it (M, M:S, H:M:S, D-H, D-H:M, D-H:M:S)."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ConfigError(f"--slurm time={text} is no time.", hint="Minutes, or 2:00:00, or 1-12:00:00.")
    days, *numbers = (None if part is None else int(part) for part in found.groups())
    first, second, third = numbers
    if days is not None:
        seconds = days * 86_400 + (first or 0) * 3600 + (second or 0) * 60 + (third or 0)
    elif third is not None:
        seconds = (first or 0) * 3600 + (second or 0) * 60 + third
    else:
        seconds = (first or 0) * 60 + (second or 0)
    if seconds < 60:
        raise ConfigError(f"--slurm time={text} is less than a minute.", hint="Minutes, or 2:00:00, or 1-12:00:00.")
    return -(-seconds // 60)
