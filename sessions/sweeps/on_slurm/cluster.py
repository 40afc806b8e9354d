"""What the executor asks of Slurm: submit, list and cancel jobs. The one file that imports submitit."""

import getpass
import re
import subprocess
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from engine.errors import ConfigError
from engine.machine import child_processes
from sessions.sweeps.on_slurm.job import run_job
from sessions.sweeps.on_slurm.options import SlurmOptions

_ASK_S = 60
_END_S = 10
_NUMBERS = frozenset({"cpus_per_task", "gpus_per_node", "gpus_per_task", "cpus_per_gpu", "array_parallelism"})
_OWN = frozenset(
    [
        "partition",
        "qos",
        "mem",
        "mem_per_gpu",
        "mem_per_cpu",
        "comment",
        "constraint",
        "exclude",
        "account",
        "gres",
        "mail_type",
        "mail_user",
        "nodelist",
        "dependency",
        "exclusive",
        "wckey",
        "cpus_per_task",
        "cpus_per_gpu",
        "gpus_per_node",
        "gpus_per_task",
    ]
)
"""Options of sbatch that submitit has names for; it passes on others as they are."""
_SIGNAL_S = 90
"""Seconds before the time limit at which a job is told to hand its units back."""

PackFiles = tuple[Path, Path, Path]
"""Of a pack, of its reports, and the folder of its bundles."""


class SlurmJobs:
    """Jobs of one sweep, submitted through submitit. Its methods block: not for the event loop's thread."""

    def __init__(self, options: SlurmOptions, folder: Path, *, jobs_at_once: int, name: str) -> None:
        """Prepare to submit. Raises ConfigError if Slurm is missing or an option is refused."""
        self._options, self._folder = options, folder / "submitit"
        self._local: dict[str, Any] = {}
        self._executor = self._make(jobs_at_once, name)

    def submit(self, packs: Sequence[PackFiles]) -> list[str]:
        """Submit a job for each pack, as an array; return their ids. Raises ConfigError with what sbatch said."""
        import submitit

        try:
            paths = [list(map(str, column)) for column in zip(*packs, strict=True)]
            jobs = self._executor.map_array(run_job, *paths)
        except (subprocess.CalledProcessError, submitit.core.utils.FailedJobError, OSError, RuntimeError) as error:
            raise ConfigError(
                f"sbatch refused the jobs: {_last_line(error)}", hint="headcode sweep ... --dry-run prints its text."
            ) from error
        if self._options.cluster == "local":
            self._local |= {job.job_id: job for job in jobs}
        return [job.job_id for job in jobs]

    def active(self, ids: Collection[str]) -> set[str] | None:
        """Return which of these jobs wait or run; None if Slurm does not answer at the moment."""
        if self._options.cluster == "local":
            return {each for each in ids if self._runs_here(each)}
        # Not sacct, which needs an accounting database; not --jobs, which fails once Slurm has forgotten one.
        found = self._ask("squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i")
        return None if found is None else set(found.split()) & set(ids)

    def describe_end(self, job: str) -> str:
        """Return how a job ended, for people."""
        words = []
        if self._options.cluster == "slurm":
            found = self._ask("scontrol", "show", "job", job, "--oneliner") or ""
            fields = {name: _field(found, name) for name in ("JobState", "Reason", "ExitCode")}
            words += [f"{name} {value}" for name, value in fields.items() if value]
        text = self.log_text(job)
        if text:
            words.append(text.splitlines()[-1][:300])
        return "; ".join(words) or "it left no word"

    def log_text(self, job: str) -> str:
        """Return the job's own log: errors of the cluster's programs and of Python; empty if there is none."""
        logs = sorted(self._folder.glob(f"{job}_*log.err"))
        return logs[-1].read_text(errors="replace").strip() if logs else ""

    def cancel(self, ids: Collection[str]) -> None:
        """Cancel jobs."""
        if self._options.cluster == "local":
            for each in ids:  # submitit's own cancel interrupts only the controller
                if each in self._local:
                    self._local[each]._process.terminate()
                elif (process := self._of_earlier_host(each)) is not None:
                    process.terminate()
        elif ids:
            self._ask("scancel", *ids)

    def close(self) -> None:
        """Wait until the processes of local jobs have ended, which must have been cancelled."""
        for job in self._local.values():
            with suppress(subprocess.TimeoutExpired):
                job._process.wait(_END_S)

    def _runs_here(self, job: str) -> bool:
        if job in self._local:
            return bool(self._local[job].state == "RUNNING")
        return self._of_earlier_host(job) is not None

    def _of_earlier_host(self, job: str) -> psutil.Process | None:
        """Return the process of a local job that another host started: its id is that of the process."""
        try:
            process = psutil.Process(int(job))
            ours = process.status() != psutil.STATUS_ZOMBIE and str(self._folder) in process.cmdline()
        except (ValueError, psutil.Error):
            return None
        return process if ours else None

    def text(self, jobs: int) -> str:
        """Return the file that sbatch would be given for an array of so many jobs."""
        if self._options.cluster == "local":
            return ""
        executor: Any = self._executor
        if jobs > 1:
            executor.parameters["map_count"] = jobs
        return str(executor._make_submission_file_text(executor._submitit_command_str, "dry-run"))

    def _make(self, jobs_at_once: int, name: str) -> Any:
        from submitit import LocalExecutor, SlurmExecutor

        if self._options.cluster == "local":
            executor: Any = LocalExecutor(self._folder)
            executor.update_parameters(timeout_min=self._options.minutes)
            return executor
        try:
            executor = SlurmExecutor(self._folder)
        except RuntimeError as error:
            raise ConfigError(
                "Slurm's programs are not on this machine: there is no srun.",
                hint="Run this on a login node of the cluster; --slurm cluster=local tries the same without Slurm.",
            ) from error
        own: dict[str, Any] = {}
        rest: dict[str, Any] = {"no-requeue": True}
        for given, value in self._options.sbatch.items():
            key = given.replace("-", "_")
            found: Any = value or True
            if key in _NUMBERS and value.isdigit():
                found = int(value)
            (own if key in _OWN else rest)[key if key in _OWN else given] = found
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            executor.update_parameters(
                job_name=name,
                time=self._options.minutes,
                signal_delay_s=_SIGNAL_S,
                array_parallelism=jobs_at_once,
                additional_parameters=rest,
                **own,
            )
        return executor

    def _ask(self, program: str, *words: str) -> str | None:
        path = child_processes.find_program(program)
        if path is None:
            return None
        try:
            done = child_processes.run([path, *words], capture_output=True, text=True, timeout=_ASK_S)
        except (OSError, subprocess.SubprocessError):
            return None
        return str(done.stdout) if done.returncode == 0 else None


def _field(text: str, name: str) -> str:
    found = re.search(rf"\b{name}=(\S+)", text)
    return "" if found is None or found[1] == "None" else found[1]


def _last_line(error: BaseException) -> str:
    """Return the line that says what is wrong: of sbatch's errors, which submitit appends to its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("sbatch: error")]
    return (said or lines or [type(error).__name__])[-1][:300]
