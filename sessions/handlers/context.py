"""Define what handlers may use of the host."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from engine.machine.folders import AppFolders
from sessions.files.disk_space import SpaceReserve
from sessions.files.host_settings import HostSettings
from sessions.protocol import AnyAnswer
from sessions.rows import HostStatus
from sessions.services.run_queue import RunQueue
from sessions.services.worker_supervisor import WorkerSupervisor
from sessions.services.writer import StoreWriter
from sessions.sweeps.conductor import Conductor

State = TypeVar("State")


class HandlerContext(Protocol):
    """The host as handlers see it."""

    places: AppFolders
    settings: HostSettings
    writer: StoreWriter
    runs: RunQueue
    supervisor: WorkerSupervisor
    reserve: SpaceReserve
    sweeps: Conductor

    def get_state(self, kind: Callable[[], State]) -> State:
        """Return the state that one subject keeps between requests; the first call creates it."""
        ...

    def status(self) -> HostStatus: ...

    def stop(self) -> None: ...


Answer = Callable[[HandlerContext, Any], Awaitable[AnyAnswer]]
"""Raises HeadcodeError, which is sent to the client."""
