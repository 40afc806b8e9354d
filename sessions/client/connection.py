"""Talk to the host: connect or start it, send requests, follow logs. Imports neither torch nor duckdb."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import msgspec

from engine.errors import Failure
from engine.machine.folders import AppFolders
from sessions.client.launch import StartLock, end_foreground, start_detached, start_foreground
from sessions.errors import HostError, HostGone, NoHost, Refusal, WrongProtocol, error_from
from sessions.events import LogEntry
from sessions.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL,
    AnyRequest,
    Done,
    FromHost,
    Hello,
    NumberedRequest,
    Pushed,
    Refused,
    Reply,
    StopHost,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Welcome,
)
from sessions.transport.host_address import find_holder, serves, sockets
from sessions.transport.lines import NONSENSE, LineReader
from sessions.transport.socket_folder import check_private, peer_process
from sessions.version import version

T = TypeVar("T")

_ATTEMPTS, _ATTEMPT_S = 200, 0.05
"""Number of attempts, and seconds between them, if the host has more waiting clients than the system allows."""

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HostClient:
    """One connection to the host, made by `connect` or `foreground`, closed by `close` or `async with`."""

    def __init__(self, stream: _Stream, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.welcome: Welcome
        """The host's answer to Hello."""
        self._lines = LineReader(stream[0])
        self._writer = stream[1]
        self._child = child
        self._next = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._feeds: dict[int, _EntryFeed] = {}
        self._error: HostError | None = None
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls, places: AppFolders, *, start: bool = True, timeout_s: float = 10, command: Sequence[str] | None = None
    ) -> Self:
        """Return a connection to the host of this store, which is started if there is none.

        Raises NoHost (if `start` is false), WrongProtocol, or why the host could not start: StoreError and its
        subclasses, SettingsError, HostError. `command` starts another program as the host.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            stream = await _open(places)
            if stream is None:
                if not start:
                    raise NoHost("No host is running.", hint="Commands that need a host start one.")
                stream = await _open_or_start(places, command, deadline)
            try:
                return await cls._greet(stream, deadline)
            except HostGone:
                # The host exited while we connected: the next attempt starts another.
                if not start or time.monotonic() > deadline:
                    raise

    @classmethod
    async def foreground(
        cls, places: AppFolders, *, timeout_s: float = 30, command: Sequence[str] | None = None
    ) -> Self:
        """Return a connection to a separate host that ends with this process: for batch jobs.

        Raises HostRunning if a host already serves this store, or why the host could not start.
        """
        deadline = time.monotonic() + timeout_s
        child = await start_foreground(places, command, deadline)
        try:
            stream = await _open(places)
            if stream is None:
                raise HostGone("The host ended at once.", hint="headcode host log")
            return await cls._greet(stream, deadline, child)
        except BaseException:
            await asyncio.to_thread(end_foreground, child)
            raise

    async def ask(self, request: AnyRequest, want: type[T]) -> T:
        """Return the answer to one request.

        Raises Refusal (with the host's own family, message and hint) or HostGone.
        """
        _, answer = self._send(request)
        return _expect(await answer, want)

    async def follow(
        self, session: str, *, after_seq: int = 0, run: str | None = None
    ) -> AsyncIterator[tuple[LogEntry, ...]]:
        """Yield batches of a session's log, all entries after `after_seq` in order, old ones first.

        Never ends by itself. Entries that arrive while the caller is busy come as one batch. Raises Refusal,
        HostGone.
        """
        feed = _EntryFeed()
        number, answer = self._send(Subscribe(session=session, after_seq=after_seq, run=run), feed)
        try:
            _expect(await answer, Subscribed)
            while True:
                yield await feed.take()
        finally:
            self._feeds.pop(number, None)
            if self._error is None:
                with suppress(HostError):
                    self._send(Unsubscribe(subscription=number))

    async def close(self) -> None:
        """Close the connection and end a foreground host. Can be called twice."""
        self._writer.close()  # before anything is awaited: the caller may be cancelled once more
        self._end(HostGone("The connection was closed."))
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        with suppress(OSError):
            await self._writer.wait_closed()
        if self._child is not None:
            child, self._child = self._child, None
            await asyncio.to_thread(end_foreground, child)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @classmethod
    async def _greet(cls, stream: _Stream, deadline: float, child: "subprocess.Popen[bytes] | None" = None) -> Self:
        client = cls(stream, child)
        client._listening = asyncio.create_task(client._listen())
        try:
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                client.welcome = await client.ask(Hello(version=version()), Welcome)
            if client.welcome.protocol != PROTOCOL:
                raise WrongProtocol(
                    f"The running host is Headcode {client.welcome.version} with protocol {client.welcome.protocol}; "
                    f"you are Headcode {version()} with protocol {PROTOCOL}.",
                    hint="End it; the next command starts one of your version: headcode host stop",
                )
        except BaseException as error:
            client._child = None  # whoever started it ends it
            await client.close()
            if isinstance(error, Refusal):
                raise error_from(error.failure) from None
            if isinstance(error, TimeoutError):
                raise HostError(
                    "The host does not answer.", hint="End it; the next command starts another: headcode host stop"
                ) from error
            raise
        return client

    def _send(self, request: AnyRequest, feed: "_EntryFeed | None" = None) -> tuple[int, "asyncio.Future[Any]"]:
        if self._error is not None:
            raise self._error
        self._next += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[self._next] = answer
        if feed is not None:
            self._feeds[self._next] = feed
        self._writer.write(msgspec.json.encode(NumberedRequest(id=self._next, request=request)) + b"\n")
        return self._next, answer

    async def _listen(self) -> None:
        decoder = msgspec.json.Decoder(FromHost)
        reason = "The host ended the connection."
        try:
            while (line := await self._lines.line(2 * MAX_LINE_BYTES)) is not None:
                self._on_message(decoder.decode(line))
        except NONSENSE as error:
            self._end(
                WrongProtocol(
                    f"The host sent a message that this Headcode ({version()}, protocol {PROTOCOL}) "
                    f"does not understand: {error}.",
                    hint="End it; the next command starts one of your version: headcode host stop",
                )
            )
            return
        except OSError as error:
            reason = f"The connection to the host broke: {error}."
        self._end(HostGone(reason, hint="What was recorded is stored. Try again; see: headcode host log"))

    def _on_message(self, word: Reply | Pushed) -> None:
        if isinstance(word, Pushed):
            feed = self._feeds.get(word.id)
            if feed is not None:
                feed.add(word.entries)
            return
        answer = self._answers.pop(word.id, None)
        if answer is not None:
            if not answer.done():
                answer.set_result(word.answer)
        elif word.id in self._feeds and isinstance(word.answer, Refused):
            self._feeds.pop(word.id).end(Refusal(word.answer.failure))

    def _end(self, error: HostError) -> None:
        if self._error is None:
            self._error = error
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._error)
                answer.exception()  # marks it as retrieved: the caller may be gone, too
        self._answers.clear()
        for feed in self._feeds.values():
            feed.end(self._error)
        self._feeds.clear()


class _EntryFeed:
    """The entries of one subscription that have not been read yet."""

    def __init__(self) -> None:
        self._entries: list[LogEntry] = []
        self._error: Exception | None = None
        self._wake = asyncio.Event()

    def add(self, entries: Sequence[LogEntry]) -> None:
        self._entries.extend(entries)
        self._wake.set()

    def end(self, error: Exception) -> None:
        self._error = error
        self._wake.set()

    async def take(self) -> tuple[LogEntry, ...]:
        """Return all entries since the last call, waiting for at least one."""
        await self._wake.wait()
        if not self._entries and self._error is not None:
            raise self._error
        taken, self._entries = tuple(self._entries), []
        if self._error is None:
            self._wake.clear()
        return taken


async def stop_host(places: AppFolders, *, timeout_s: float = 10) -> int | None:
    """End the host of this store, even one of another version or one that hangs.

    Returns its process id; None if there was none. Raises HostError if the host cannot be ended.
    """
    pid = await _find_host(places)
    if pid is None:
        return None
    deadline = time.monotonic() + timeout_s
    try:
        async with await HostClient.connect(places, start=False, timeout_s=2) as client:
            await client.ask(StopHost(), Done)
    except (HostError, Refusal):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    if not await _wait_for_exit(places, pid, deadline):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if not await _wait_for_exit(places, pid, time.monotonic() + 5):
            raise HostError(f"The host (PID {pid}) cannot be ended.", hint="It may be blocked by the disk: see dmesg.")
    return pid


async def _find_host(places: AppFolders) -> int | None:
    """Return the host that holds the store, or one that still listens although the folder was replaced."""
    pid = find_holder(places)
    if pid is None:
        with suppress(HostError):
            stream = await _open(places)
            if stream is not None:
                _, pid = peer_process(cast(socket.socket, stream[1].get_extra_info("socket")))
                stream[1].transport.abort()
    return pid or None


async def _wait_for_exit(places: AppFolders, pid: int, deadline: float) -> bool:
    while await _find_host(places) == pid:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _expect(answer: object, want: type[T]) -> T:
    if isinstance(answer, Refused):
        raise Refusal(answer.failure)
    if not isinstance(answer, want):
        failure = Failure(
            family="host",
            name="BadAnswer",
            message=f"The host answered {type(answer).__name__} where {want.__name__} was expected.",
            hint="headcode host stop",
        )
        raise Refusal(failure)
    return answer


async def _open(places: AppFolders, *, attempts: int = _ATTEMPTS) -> _Stream | None:
    """Return a connection to the host of this store; None if none listens.

    Raises HostError for another user's socket.
    """
    for place in sockets(places):
        check_private(place.parent)
        try:
            reader, writer = await asyncio.open_unix_connection(str(place))
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError, NotADirectoryError):
            continue
        except OSError as error:
            raise HostError(
                f"The socket {place} cannot be used: {error.strerror or error}.", hint="headcode doctor checks it."
            ) from error
        ours = False
        try:
            connection = cast(socket.socket, writer.get_extra_info("socket"))
            uid, pid = peer_process(connection)
            ours = uid == os.getuid() and serves(places, place, connection)
        finally:
            if not ours:
                writer.transport.abort()
        if ours:
            return reader, writer
        if (uid, pid) == (-1, 0):
            # The host's backlog is full: the system refused the connection, which asyncio does not notice.
            if attempts == 0:
                raise HostError("The host has no room for another connection.", hint="Try again in a moment.")
            await asyncio.sleep(_ATTEMPT_S)
            return await _open(places, attempts=attempts - 1)
        if uid != os.getuid():
            raise HostError(
                f"Another user ({uid}) listens on {place}.", hint="Set HEADCODE_HOME to a folder of your own."
            )
    return None


async def _open_or_start(places: AppFolders, command: Sequence[str] | None, deadline: float) -> _Stream:
    lock = StartLock(places)
    await lock.take(deadline)
    try:
        stream = await _open(places)  # the previous holder of the lock may have started it
        if stream is None:
            await start_detached(places, command, deadline)
            stream = await _open(places)
    finally:
        lock.release()
    if stream is None:
        raise HostGone("The host exited right after it started.", hint="headcode host log")
    return stream
