"""Every executor in one table: what runs it, and what to install for it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from engine.machine.folders import AppFolders
from sessions.files.log_files import SizedLog, worker_log
from sessions.protocol.sweeps import ExecutorSettings
from sessions.services.run_queue import RunQueue
from sessions.sweeps.executor import Executor, ReportTo
from sessions.sweeps.local_executor import LocalExecutor
from sessions.sweeps.on_slurm.options import SlurmOptions, jobs_at_once, slurm_options


class ExecutorContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor may use."""

    runs: RunQueue
    workers: int
    """0: as many as there is room for."""
    report: ReportTo
    places: AppFolders
    folder: Path
    """Of the sweep, where executors on other machines leave files."""
    name: str
    """Of the sweep."""
    settings: ExecutorSettings = ExecutorSettings()
    peak_bytes: int | None = None
    """Most memory of a worker; None: unknown."""
    device: str = "auto"
    devices: int = 0
    """GPUs that a unit's model is split over; 0: not said."""


class ExecutorKind(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run a sweep."""

    name: str
    about: str
    make: Callable[[ExecutorContext], Executor]
    extra: str = ""
    """The optional dependencies that it needs, as `headcode[NAME]`; empty: none."""
    module: str = ""
    """What they install, which must be there."""
    settings: frozenset[str] = frozenset()
    """Fields of ExecutorSettings that it reads."""


def _local(context: ExecutorContext) -> Executor:
    return LocalExecutor(context.runs, context.report, workers=context.workers)


def _ray(context: ExecutorContext) -> Executor:
    from sessions.sweeps.on_ray.executor import RayExecutor
    from sessions.sweeps.on_ray.messages import DriverPlan

    plan = DriverPlan(
        folder=str(bundle_folder("ray", context.settings, context.folder)),
        models=str(context.places.models),
        address=context.settings.address,
        workers=context.workers,
        peak_bytes=context.peak_bytes,
        device=context.device,
        devices=context.devices,
    )
    return RayExecutor(context.report, plan, errors=SizedLog(worker_log(context.places)))


def _slurm(context: ExecutorContext) -> Executor:
    from sessions.sweeps.on_slurm.cluster import SlurmJobs
    from sessions.sweeps.on_slurm.executor import SlurmExecutor

    options = slurm_options(context.settings.slurm)
    folder = bundle_folder("slurm", context.settings, context.folder).parent
    jobs = SlurmJobs(options, folder, jobs_at_once=jobs_at_once(context.workers), name=context.name)
    if options.cluster == "local":
        return SlurmExecutor(context.report, jobs, folder, poll_s=0.2, ask_s=0.2)
    return SlurmExecutor(context.report, jobs, folder)


EXECUTORS: dict[str, ExecutorKind] = {
    kind.name: kind
    for kind in (
        ExecutorKind(name="local", about="workers on this machine", make=_local),
        ExecutorKind(
            name="ray",
            about="actors of a Ray cluster",
            make=_ray,
            extra="ray",
            module="ray",
            settings=frozenset({"address"}),
        ),
        ExecutorKind(
            name="slurm",
            about="jobs of a Slurm cluster",
            make=_slurm,
            extra="slurm",
            module="submitit",
            settings=frozenset({"slurm"}),
        ),
    )
}


def find_executor(name: str, settings: ExecutorSettings | None = None) -> ExecutorKind:
    """Return the executor. Raises ConfigError with those that there are, or with what to install or leave out."""
    kind, settings = EXECUTORS.get(name), settings or ExecutorSettings()
    if kind is None:
        raise ConfigError(f"--on {name}: there is no such executor.", hint=f"One of {', '.join(EXECUTORS)}.")
    for field in ("address", "slurm"):
        if getattr(settings, field) and field not in kind.settings:
            fits = next(each.name for each in EXECUTORS.values() if field in each.settings)
            raise ConfigError(f"--{field} cannot be used with --on {name}.", hint=f"It belongs to --on {fits}.")
    if kind.module and importlib.util.find_spec(kind.module) is None:
        raise ConfigError(
            f"--on {name} needs {kind.module}, which is not installed.", hint=f"pip install 'headcode[{kind.extra}]'"
        )
    if "slurm" in kind.settings:
        slurm_options(settings.slurm)
    return kind


def bundle_folder(on: str, settings: ExecutorSettings, folder: Path) -> Path:
    """Return where the executor leaves the files of finished units. `folder`: of the sweep, on the host."""
    options = slurm_options(settings.slurm) if on == "slurm" else SlurmOptions()
    return (Path(options.folder) / folder.name if options.folder else folder) / "out"


def sbatch_text(places: AppFolders, settings: ExecutorSettings, name: str, jobs: int) -> str:
    """Return what would be submitted to Slurm. Raises ConfigError."""
    from sessions.sweeps.on_slurm.cluster import SlurmJobs

    folder = bundle_folder("slurm", settings, places.sweeps / "SWEEP").parent
    return SlurmJobs(slurm_options(settings.slurm), folder, jobs_at_once=jobs, name=name).text(jobs)
