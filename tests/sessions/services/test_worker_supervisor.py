"""Test the supervisor while it has no worker."""

import asyncio
from pathlib import Path
from typing import Any

from engine.config import ProbeConfig
from engine.machine import child_processes
from engine.protocol import RunProbe
from sessions.files.log_files import SizedLog
from sessions.services.worker_supervisor import WorkerSupervisor


async def test_a_run_whose_worker_is_only_being_started_can_be_ended(tmp_path: Path, monkeypatch: Any) -> None:
    starting, go_on = asyncio.Event(), asyncio.Event()

    async def start_slowly(*_: Any, **__: Any) -> Any:
        starting.set()
        await go_on.wait()
        raise OSError

    async def report(_: object) -> None:
        raise AssertionError("no worker, no reports")

    monkeypatch.setattr(child_processes, "start_async", start_slowly)
    supervisor = WorkerSupervisor(["unused"], SizedLog(tmp_path / "worker.log"), idle_s=0)
    here = str(tmp_path)
    request = RunProbe(job="r1", model="toy", config=ProbeConfig(), spool=here, models=here, activations=here)
    running = asyncio.create_task(supervisor.perform(request, report))
    await starting.wait()
    assert supervisor.at_work is not None
    assert supervisor.pid is None
    assert not supervisor.end_work("another")
    assert supervisor.end_work("r1")
    go_on.set()
    failure = await running
    assert failure is not None
    assert failure.family == "cancelled"
