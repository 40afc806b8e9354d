"""`python -m sessions.host`: the process that owns the store, keeps a worker warm and answers clients."""

import argparse
import asyncio
import faulthandler
import itertools
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from engine.errors import Failure, HeadcodeError
from engine.machine.folders import AppFolders, find_folders
from sessions.errors import HostError, HostRunning, StoreBusy, StoreError, StoreLost
from sessions.files.disk_space import SpaceReserve, describe_os_error
from sessions.files.host_settings import HostSettings, load_settings
from sessions.files.log_files import SizedLog, start_logging, worker_log
from sessions.files.mounts import format_network, network_file_system
from sessions.protocol import PROTOCOL, AnyAnswer, AnyRequest, Hello, Welcome
from sessions.rows import HostStatus
from sessions.transport.host_address import (
    HostAddress,
    address_file,
    find_holder,
    own_address,
    read_address,
    sockets,
    store_lock,
    write_address,
)
from sessions.transport.socket_folder import ExclusiveLock, HostSocket, StartReport, inode
from sessions.version import version

if TYPE_CHECKING:
    from sessions.store.database import Store

log = logging.getLogger("headcode.host")

State = TypeVar("State")

_LOCK_WAIT_S = 8.0
"""Seconds to wait for a host that is exiting."""
_STORE_WAIT_S = 1.0
_WATCH_S = 1.0
"""Seconds between checks for removed files: the store, the socket, the address beside the store."""
_TRIM_EVERY = 30
"""Checks after which free memory is returned to the system: DuckDB's results leave some megabytes a minute."""


class HeadcodeHost:
    """All parts behind the socket."""

    def __init__(
        self,
        places: AppFolders,
        settings: HostSettings,
        store: "Store",
        worker_command: Sequence[str] | None = None,
        *,
        notices: Sequence[str] = (),
    ) -> None:
        from sessions.host.server import Server
        from sessions.services.run_queue import RunQueue
        from sessions.services.subscriptions import Subscriptions
        from sessions.services.worker_supervisor import WORKER, WorkerSupervisor
        from sessions.services.writer import StoreWriter
        from sessions.sweeps.conductor import Conductor

        self.places = places
        self.settings = settings
        self._notices = tuple(notices)
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._started = time.monotonic()
        self._clients = 0
        self._idle: asyncio.TimerHandle | None = None
        self._stop = asyncio.Event()
        kind = network_file_system(places.store)
        self._place = "" if kind is None else format_network(places.store, kind)
        self._house: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._listening = HostSocket(places)
        self._folder = inode(places.data)
        self.reserve = SpaceReserve(places.data / "sessions.reserve")
        self._trouble = ""
        self._states: dict[Callable[[], object], object] = {}
        self.subscriptions = Subscriptions()
        self.writer = StoreWriter(store, self._thread, self.subscriptions.publish)
        command, worker_output = worker_command or WORKER, SizedLog(worker_log(places))

        def supervisor() -> WorkerSupervisor:
            return WorkerSupervisor(command, worker_output, idle_s=settings.worker_idle_s)

        self.supervisor = supervisor()
        self.runs = RunQueue(places, self.writer, self.supervisor, more=supervisor)
        self.sweeps = Conductor(places, self.writer, self.runs)
        self.runs.changed = self._reset_idle_timer
        self.runs.cannot_record = self.subscriptions.fail
        self.server = Server(self)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Answer requests until the host is stopped or idle for long enough."""
        from sessions.files.array_files import remove_spool
        from sessions.handlers.effects import end_open_measurements
        from sessions.handlers.sessions import empty_old_trash
        from sessions.handlers.verification import end_open_verifications
        from sessions.services.run_records import interrupt_open_runs

        try:
            left = await self.writer.change(lambda recorder: (interrupt_open_runs(recorder), []))
            await self.writer.change(lambda recorder: (end_open_measurements(recorder), []))
            await self.writer.change(lambda recorder: (end_open_verifications(recorder), []))
            if left:
                log.info("%d runs of the last host are recorded as interrupted", left)
        except StoreError as error:  # a full disk: reading still works
            log.error("the last host's runs cannot be recorded as interrupted: %s", error)
        await asyncio.to_thread(remove_spool, self.places.spool)
        await asyncio.to_thread(self.reserve.fill)
        await self._open_socket()
        self._house = asyncio.create_task(empty_old_trash(self), name="housekeeping")
        self._watch = asyncio.create_task(self._watch_files(), name="watch files")
        self._reset_idle_timer()
        ready()
        await self._stop.wait()

    async def close(self) -> None:
        """Record unfinished runs as interrupted, inform the clients and close the store."""
        if self._idle is not None:
            self._idle.cancel()
        for task in (self._house, self._watch):
            if task is not None:
                task.cancel()
        self._listening.remove()
        if read_address(self.places) == self._address():
            with suppress(OSError):
                address_file(self.places).unlink()
        await self.sweeps.close()
        await self.runs.close()
        await self.server.close()
        await self.writer.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    def stop(self) -> None:
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def welcome(self, hello: Hello) -> Welcome:
        notices = [*([self._trouble] if self._trouble else []), *([self._place] if self._place else []), *self._notices]
        if hello.version != version():
            notices.append(
                f"The host is Headcode {version()}, you are {hello.version}. "
                "headcode host stop ends it; the next command starts one of your version."
            )
        return Welcome(version=version(), pid=os.getpid(), store=str(self.places.store), notice=" ".join(notices))

    def client_connected(self) -> None:
        self._clients += 1
        self._reset_idle_timer()

    def client_left(self) -> None:
        self._clients -= 1
        self._reset_idle_timer()

    async def answer(self, request: AnyRequest) -> AnyAnswer:
        """Return the answer to a request that needs no connection. Raises HeadcodeError."""
        from sessions.handlers.table import ANSWERS

        found = ANSWERS.get(type(request))
        if found is None:
            raise HostError(f"The host has no answer to {type(request).__name__}.", hint="headcode host stop")
        return await found(self, request)

    def get_state(self, kind: Callable[[], State]) -> State:
        if kind not in self._states:
            self._states[kind] = kind()
        return cast("State", self._states[kind])

    def status(self) -> HostStatus:
        left = None
        if self._idle is not None:
            left = max(0.0, self._idle.when() - asyncio.get_running_loop().time())
        return HostStatus(
            pid=os.getpid(),
            version=version(),
            protocol=PROTOCOL,
            store=str(self.places.store),
            store_bytes=self._store.size(),
            uptime_s=time.monotonic() - self._started,
            clients=self._clients,
            worker_pid=self.supervisor.pid,
            worker_state=self.supervisor.state,
            worker_model=self.supervisor.model,
            queued=self.runs.queued,
            running=self.runs.running,
            idle_exit_s=left,
            socket=str(self._listening.place),
            trouble=self._trouble,
            at_work=self.runs.at_work,
        )

    async def _open_socket(self) -> None:
        """Open the socket and write the address beside the store. Raises HostError."""
        await self.server.start(self._listening.open())
        write_address(self.places, self._address())

    def _address(self) -> HostAddress:
        return own_address(self._listening.place, version())

    async def _watch_files(self) -> None:
        """Check every second that the store's file and the socket are still there."""
        from sessions.store.memory_growth import give_back_memory

        for second in itertools.count(1):
            await asyncio.sleep(_WATCH_S)
            try:
                await self.writer.read(lambda store: store.check_place())
                if second % _TRIM_EVERY == 0:
                    await self.writer.read(lambda _: give_back_memory())
            except StoreLost as error:
                if not self._trouble:
                    log.error("%s %s", error.message, error.hint)
                    self._trouble = f"{error.message} {error.hint}"
                    self.supervisor.notify()
                # In another folder, another host may serve the store there, and its socket must not be replaced. This
                # host can then no longer be found once its own socket is gone.
                elsewhere = inode(self.places.data) != self._folder
                if error.moved or (elsewhere and self._listening.gone()):
                    self.stop()
                if elsewhere:
                    continue
            try:
                if self._listening.gone():
                    log.warning("the socket %s was removed: opened again", self._listening.place)
                    await self._open_socket()
                elif read_address(self.places) != self._address():
                    write_address(self.places, self._address())
            except (HostError, OSError) as error:
                log.error("the socket cannot be opened: %s", error)

    def _reset_idle_timer(self) -> None:
        """Start the idle timer if no client is connected and there is no work; otherwise stop it."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._clients == 0 and not (self.runs.busy or self.sweeps.busy) and self.settings.idle_s > 0:
            self._idle = asyncio.get_running_loop().call_later(self.settings.idle_s, self._stop_idle)

    def _stop_idle(self) -> None:
        log.info("idle for %.0f s: exiting", self.settings.idle_s)
        self.stop()


def main(argv: Sequence[str] | None = None, *, worker_command: Sequence[str] | None = None) -> int:
    """Run a host until it ends; return the exit code: 0, or 4 if it could not start."""
    options = _parse(argv)
    if options.detach and os.fork():
        os._exit(0)  # the starter waits for this process only, not for the host
    faulthandler.enable()
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    start_logging(options.places)
    try:
        asyncio.run(_run(options, worker_command))
    except HeadcodeError as error:
        log.error("%s %s", error.message, error.hint)
        already = isinstance(error, HostRunning) and not options.foreground
        _report_start(options.ready_fd, StartReport(pid=os.getpid(), already=already, failure=error.as_failure()))
        return 4
    except Exception as error:
        log.exception("the host ended")
        failure = Failure(
            family="host", name="HostError", message=f"The host cannot run: {error}", hint="headcode host log"
        )
        if isinstance(error, OSError):
            failure = describe_os_error(error, options.places.store).as_failure()
        _report_start(options.ready_fd, StartReport(pid=os.getpid(), failure=failure))
        return 4
    return 0


class _Options(msgspec.Struct, frozen=True):
    places: AppFolders
    foreground: bool
    detach: bool
    ready_fd: int | None


async def _run(options: _Options, worker_command: Sequence[str] | None) -> None:
    places = options.places
    found = load_settings(places.settings)
    settings = found.settings
    for problem in found.problems:
        log.warning("%s %s The default is used.", problem.message, problem.hint)
    places.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = await _take_lock(places)
    try:
        store = await _open_store(places, settings)
        notices = [f"{each.message} {each.hint} The default is used." for each in found.problems]
        host = HeadcodeHost(places, settings, store, worker_command, notices=notices)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, host.stop)
        if options.foreground:
            loop.add_reader(0, _on_parent_input, loop, host)
        log.info("host of %s begins (Headcode %s)", places.store, version())
        try:
            await host.serve(lambda: _report_start(options.ready_fd, StartReport(pid=os.getpid())))
        finally:
            await host.close()
            log.info("host ends")
    finally:
        lock.release()


async def _open_store(places: AppFolders, settings: HostSettings) -> "Store":
    """Open the store. A host that was just killed may keep DuckDB's lock a moment longer than the host lock."""
    from sessions.recovery.rescue import save_beside
    from sessions.store.database import Store
    from sessions.store.memory_growth import keep_heap_small

    keep_heap_small()
    deadline = time.monotonic() + _STORE_WAIT_S
    while True:
        try:
            store = Store.open(places.store, memory=settings.store_memory, threads=settings.store_threads)
            store.on_lost = save_beside
            return store
        except StoreBusy:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


def _on_parent_input(loop: asyncio.AbstractEventLoop, host: HeadcodeHost) -> None:
    """End a foreground host when its stdin closes, that is when its command ends."""
    if not os.read(0, 4096):
        loop.remove_reader(0)
        host.stop()


async def _take_lock(places: AppFolders) -> ExclusiveLock:
    """Take the lock of this store's host. Raises HostRunning if a live host has it."""
    lock = store_lock(places)
    deadline = time.monotonic() + _LOCK_WAIT_S
    while not lock.take():
        if any(map(_accepts_connections, sockets(places))) or time.monotonic() > deadline:
            raise HostRunning(
                f"A host (PID {find_holder(places) or 'unknown'}) serves {places.store} already.",
                hint="Omit --foreground to use it, or end it: headcode host stop",
            )
        await asyncio.sleep(0.02)
    return lock


def _accepts_connections(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _report_start(fd: int | None, started: StartReport) -> None:
    if fd is not None:
        with suppress(OSError):  # the starter has gone, or was informed before
            os.write(fd, msgspec.json.encode(started) + b"\n")
            os.close(fd)


def _parse(argv: Sequence[str] | None) -> _Options:
    parser = argparse.ArgumentParser(prog="python -m sessions.host", description=__doc__)
    parser.add_argument("--foreground", action="store_true", help="end when stdin ends")
    parser.add_argument("--detach", action="store_true", help="detach from the process that started this")
    parser.add_argument(
        "--ready-fd", type=int, help="a pipe that receives word when the host answers, or why it cannot"
    )
    for name in AppFolders.__struct_fields__:
        parser.add_argument(f"--{name}", type=Path, help=f"the {name} folder")
    found = parser.parse_args(argv)
    given = {name: getattr(found, name) for name in AppFolders.__struct_fields__ if getattr(found, name) is not None}
    places = msgspec.structs.replace(find_folders(), **given)
    if found.ready_fd is not None:
        os.set_inheritable(found.ready_fd, False)
    return _Options(places, found.foreground, found.detach, found.ready_fd)


if __name__ == "__main__":
    sys.exit(main())
