"""What an answer works with: the parts of the host that it may use, without the host itself."""

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

State = TypeVar("State")


class HandlerContext(Protocol):
    """The host, as the answers see it."""

    places: AppFolders
    settings: HostSettings
    writer: StoreWriter
    runs: RunQueue
    supervisor: WorkerSupervisor
    reserve: SpaceReserve

    def get_state(self, kind: Callable[[], State]) -> State:
        """What one subject keeps between requests: made at the first call, the same at every later one."""
        ...

    def status(self) -> HostStatus: ...

    def stop(self) -> None: ...


Answer = Callable[[HandlerContext, Any], Awaitable[AnyAnswer]]
"""Raises HeadcodeError, which the client is told."""
