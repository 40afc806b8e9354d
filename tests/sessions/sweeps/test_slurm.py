"""Test jobs as submitit's local executor runs them, and what Slurm would be given.

tests/benchmarks/slurm_on_one_machine.sh sets up a real Slurm; tests/benchmarks/sweeps.py slurm runs a sweep on it.
"""

import asyncio
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

import psutil
import pytest

from engine.errors import ConfigError
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import QuerySql, SqlAnswer, StartSweep, SweepAnswer
from sessions.protocol.sweeps import ExecutorSettings
from sessions.sweeps.executor import Pack, UnitDone, UnitFailed, UnitStarted, WorkerJoined
from sessions.sweeps.gather import UnitBundle
from sessions.sweeps.on_slurm.cluster import SlurmJobs
from sessions.sweeps.on_slurm.executor import SlurmExecutor
from sessions.sweeps.on_slurm.options import SlurmOptions, read_options, slurm_options

from .cluster_parts import ONCE, Reports, follow, plan_of, tasks_of

LOCAL = SlurmOptions(cluster="local")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def executor_of(home: Path, reports: Reports) -> SlurmExecutor:
    folder = home / "sweep"
    jobs = SlurmJobs(LOCAL, folder, jobs_at_once=2, name="test")
    return SlurmExecutor(reports, jobs, folder, poll_s=0.1, ask_s=0.1)


def job_of(executor: SlurmExecutor) -> psutil.Process:
    """Return the process that runs the newest job's units."""
    ((_, job),) = list(executor._cluster._local.items())[-1:]
    (process,) = psutil.Process(int(job.job_id)).children()
    return process


def keys_of(reports: Reports, home: Path) -> list[str]:
    """Return the content keys of the files that finished units left."""
    found = []
    for end in reports.ends:
        if isinstance(end, UnitDone):
            bundle = UnitBundle(Path(end.bundle), home)
            assert bundle.run_id in end.bundle
            found.append(bundle.key)
            bundle.close()
    return sorted(found)


async def test_a_job_that_has_to_go_hands_its_units_back_and_another_does_them(home: Path) -> None:
    reports = Reports()
    tasks = tasks_of(plan_of(8), home)
    executor = executor_of(home, reports)
    await executor.submit([Pack(units=tuple(tasks))])
    for number in (signal.SIGUSR1, signal.SIGTERM):
        done = len(reports.ends)
        await reports.until(lambda done=done: len(reports.ends) > done)
        process = job_of(executor)
        for each in (*process.children(recursive=True), process):  # as Slurm does: the engine gets it, too
            os.kill(each.pid, number)
        workers = len(executor._cluster._local)
        await reports.until(lambda workers=workers: len(executor._cluster._local) > workers)
    await reports.until(lambda: len(reports.ends) == 8)
    assert all(isinstance(each, UnitDone) for each in reports.ends)  # nobody's fault: no try is counted
    assert keys_of(reports, home) == sorted(task.key for task in tasks)
    assert len({each.worker for each in reports.all if isinstance(each, WorkerJoined)}) == 3
    await executor.close()
    assert sorted(path.name for path in (home / "sweep").iterdir()) == ["out"]  # files that nobody has taken in


async def test_a_job_that_is_killed_loses_the_unit_under_way_and_no_other(home: Path) -> None:
    reports = Reports()
    tasks = tasks_of(plan_of(5), home)
    executor = executor_of(home, reports)
    await executor.submit([Pack(units=tuple(tasks))])
    await reports.until(lambda: reports.ends)
    process = job_of(executor)
    for each in (process, *process.children(recursive=True)):
        each.kill()
    await reports.until(lambda: len(reports.ends) == 5)
    lost = [each for each in reports.ends if isinstance(each, UnitFailed)]
    assert len(lost) <= 1  # none, if it was killed between two units
    for each in lost:
        assert each.again
        assert "ended before the unit was done" in each.failure.message
    assert len(keys_of(reports, home)) == 5 - len(lost)
    await executor.close()


async def test_a_host_follows_the_jobs_that_a_killed_one_left() -> None:
    """The host is killed with -9 while a job runs; the next one takes what it left, and waits for the rest of it."""
    home = Path(tempfile.mkdtemp(prefix="hc-"))
    places = find_folders({"HEADCODE_HOME": str(home)})
    plan = plan_of(12)
    request = StartSweep(plan=plan, on="slurm", workers=1, settings=ExecutorSettings(slurm={"cluster": "local"}))
    try:
        first = await HostClient.connect(places, timeout_s=600)
        await first.ask(request, SweepAnswer)
        before = await follow(first, lambda answer: answer.progress.done >= 2)
        (jobs,) = places.sweeps.glob("*/jobs")
        (job,) = (line.split()[0] for line in jobs.read_text().splitlines())
        at_work = psutil.Process(int(job)).children(recursive=True)
        for process in at_work:  # so that something is left to follow, however slow the next host begins
            process.suspend()
        os.kill(first.welcome.pid, signal.SIGKILL)
        await first.close()
        second = await HostClient.connect(places, timeout_s=600)
        assert second.welcome.pid != first.welcome.pid
        answer = await second.ask(request, SweepAnswer)
        assert answer.sweep.done >= before.progress.done  # what was acknowledged is there
        assert [line.split()[0] for line in jobs.read_text().splitlines()] == [job]  # nothing new was submitted
        for process in at_work:
            process.resume()
        await follow(second, lambda answer: not answer.progress.active)
        done, runs, keys = (await second.ask(QuerySql(sql=ONCE), SqlAnswer)).table.rows[0]
        assert (done, runs, keys) == (12, 12, 12)
        log = (places.logs / "host.log").read_text()
        assert re.search(rf"job {job} of an earlier host has \d+ of the units", log)
        assert log.count(" for 1 packs") == 1
        await second.close()
    finally:
        await stop_host(places)
        shutil.rmtree(home)


async def test_a_job_of_an_earlier_host_that_is_not_wanted_is_cancelled(home: Path) -> None:
    reports = Reports()
    tasks = tasks_of(plan_of(2, shuffles="200000", bootstraps="5000"), home)
    first = executor_of(home, reports)
    await first.submit([Pack(units=(tasks[0],))])
    await reports.until(lambda: any(isinstance(each, UnitStarted) for each in reports.all))
    process = job_of(first)
    first._following.cancel()  # as if its host had been killed
    second = executor_of(home, Reports())
    await second.submit([Pack(units=(tasks[1],))])  # another unit than the job's
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [process], timeout=20)
    assert gone
    await asyncio.to_thread(first._cluster.close)
    await second.close()


async def test_cancelled_jobs_end(home: Path) -> None:
    reports = Reports()
    tasks = tasks_of(plan_of(3, shuffles="200000", bootstraps="5000"), home)
    executor = executor_of(home, reports)
    await executor.submit([Pack(units=tuple(tasks))])
    await reports.until(lambda: any(isinstance(each, UnitStarted) for each in reports.all))
    process = job_of(executor)
    async with asyncio.timeout(2):
        await executor.cancel([task.run_id for task in tasks])
        await reports.until(lambda: len(reports.ends) == 3)
    assert {each.failure.family for each in reports.ends if isinstance(each, UnitFailed)} == {"cancelled"}
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [process], timeout=20)
    assert gone
    await executor.close()
    assert not (home / "sweep").exists()


def test_sbatch_gets_what_was_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "srun").write_text("#!/bin/sh\n")
    (home / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:{os.environ['PATH']}")
    given = read_options(
        "partition=gpu,account=lab,qos=night,gres=gpu:1,shard:2,time=1-12:00:00,cpus-per-task=4,reservation=r"
    )
    assert given["gres"] == "gpu:1,shard:2"
    text = SlurmJobs(slurm_options(given), home, jobs_at_once=4, name="my sweep").text(4)
    for line in (
        "--partition=gpu",
        "--account=lab",
        "--qos=night",
        "--gres=gpu:1,shard:2",
        "--time=2160",
        "--cpus-per-task=4",
        "--reservation=r",
        "--array=0-3%4",
        "--job-name='my sweep'",
        "--no-requeue",
        "--signal=USR2@90",
    ):
        assert f"#SBATCH {line}\n" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpu", None),
        ("=3", "is no option"),
        ("partition=", "is no option"),
        ("time=soon", "time=soon is no time"),
        ("time=0:30", "less than a minute"),
        ("array=1-4", "follows from how units are run"),
        ("cluster=moon", "no such kind"),
    ],
)
def test_options_that_cannot_be_passed_on_are_named(text: str, words: str | None) -> None:
    if words is None:
        assert slurm_options(read_options(text)).sbatch == {"gpu": ""}  # a flag
        return
    with pytest.raises(ConfigError, match=words) as found:
        slurm_options(read_options(text))
    assert found.value.hint


@pytest.mark.parametrize(
    ("text", "minutes"), [("90", 90), ("1:30:00", 90), ("90:30", 91), ("1-2", 1560), ("1-0:0:1", 1441)]
)
def test_times_are_read_as_sbatch_does(text: str, minutes: int) -> None:
    assert slurm_options({"time": text}).minutes == minutes


async def test_without_slurm_the_error_says_where_to_run_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(ConfigError, match="no srun") as found:
        SlurmJobs(SlurmOptions(), home, jobs_at_once=1, name="x")
    assert "login node" in found.value.hint
