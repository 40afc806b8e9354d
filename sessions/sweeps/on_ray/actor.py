"""The actor: a warm engine worker on a node, which runs one unit at a time.

Everything goes in and out as bytes, with the unit's run id in it: a restarted or late call can never be taken for
another. Ray cancels no calls here (its cancel may let a call run to its end); a unit is stopped by a call of its own.
"""

import asyncio
import os
import tempfile
from pathlib import Path

import msgspec

from sessions.sweeps.executor import AnyReport, UnitDone, UnitLogged, UnitTask
from sessions.sweeps.node import NodeWorker
from sessions.sweeps.on_ray.messages import UnitEnd
from sessions.sweeps.on_ray.model_files import ModelReceiver, look_for

_GATHER_S = 0.2
"""Seconds after a report in which others may join it."""


class UnitActor:
    """An actor's state. Its calls run concurrently on one event loop: progress and cancelling need no thread."""

    def __init__(self, name: str) -> None:
        self._node = NodeWorker(name=name)
        self._reports: list[AnyReport] = []
        self._logged: list[UnitLogged] = []
        """Of the unit under way; its end takes them along, and they need no call of their own."""
        self._news = asyncio.Event()
        self._cancelled: set[str] = set()

    async def ready(self) -> int:
        """Return the process id, once the actor is there."""
        return os.getpid()

    async def run(self, task: bytes, model: str, models: str) -> tuple[bytes, bytes]:
        """Run a unit (executor.UnitTask as JSON); return how it ended (UnitEnd as JSON) and its bundle, if it is done.

        `model`, `models`: NodeWorker.run.
        """
        unit = msgspec.json.decode(task, type=UnitTask)
        with tempfile.TemporaryDirectory(prefix="headcode-unit-") as folder:
            work = asyncio.ensure_future(self._node.run(unit, Path(folder), self._report, model=model, models=models))
            await asyncio.sleep(0)
            if unit.run_id in self._cancelled:
                self._node.cancel(unit.run_id)
            end = await work
            data = b""
            if isinstance(end, UnitDone):
                data = await asyncio.to_thread(Path(end.bundle).read_bytes)
        logged, self._logged = tuple(self._logged), []
        return msgspec.json.encode(UnitEnd(report=end, logged=logged)), data

    async def reports(self) -> bytes:
        """Return the reports since the last call, as JSON, soon after there are some: each call costs as much."""
        await self._news.wait()
        await asyncio.sleep(_GATHER_S)
        self._news.clear()
        found, self._reports = self._reports, []
        return msgspec.json.encode(found)

    async def cancel(self, run_id: str) -> None:
        """Stop the unit if it is under way or yet to come."""
        self._cancelled.add(run_id)
        self._node.cancel(run_id)

    async def close(self) -> None:
        """End the engine and delete scratch files."""
        await self._node.close()

    def _report(self, report: AnyReport) -> None:
        if isinstance(report, UnitLogged):
            self._logged.append(report)
            return
        self._reports.append(report)
        self._news.set()


class FilesActor:
    """Takes the files of one model on a node."""

    def __init__(self, identity: str, name: str) -> None:
        self._receiver = ModelReceiver(identity, name)

    def add(self, name: str, part: bytes) -> None:
        self._receiver.add(name, part)

    def finish(self) -> str:
        return self._receiver.finish()


def find_model_here(model: str, identity: str, name: str) -> bytes:
    """Return how this node names the model (NodeModel as JSON)."""
    return msgspec.json.encode(look_for(model, identity, name))
