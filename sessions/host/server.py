"""Serve the socket: one conversation per client, isolated from the others."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from engine.errors import Failure, HeadcodeError
from sessions.errors import BadRequest, WrongProtocol
from sessions.files.disk_space import describe_os_error
from sessions.handlers.table import SLOW
from sessions.protocol import (
    MAX_LINE_BYTES,
    PROTOCOL,
    AnyAnswer,
    AnyRequest,
    Done,
    Hello,
    NumberedRequest,
    Refused,
    Reply,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Welcome,
)
from sessions.services.fair_queue import WRITER, QueueClient
from sessions.services.subscriptions import Subscription, Subscriptions
from sessions.services.writer import StoreWriter
from sessions.store.queries import find_run, find_session
from sessions.store.recorder import Recorder
from sessions.transport.lines import NONSENSE, LineReader, LineTooLong
from sessions.transport.socket_folder import peer_process
from sessions.version import version

log = logging.getLogger("headcode.server")

BACKLOG = 1_024
"""Maximum number of connections waiting to be accepted; the system refuses more."""
MAX_BACKLOG = 8 << 20
"""Maximum bytes queued for a client; a slower one gets the rest from the store, at its own pace."""
STALL_S = 30.0
"""Seconds without any read after which a client is disconnected; it continues by sequence number later."""
_MAX_CONCURRENT = 32
"""Maximum concurrent slow requests per client; further ones run in order."""
_HELLO_BYTES = 1 << 16
_HELLO_S = 10.0


class HostServices(Protocol):
    """What a conversation needs of the host."""

    subscriptions: Subscriptions
    writer: StoreWriter

    @property
    def stopping(self) -> bool: ...

    async def answer(self, request: AnyRequest) -> AnyAnswer: ...

    def welcome(self, hello: Hello) -> Welcome: ...

    def client_connected(self) -> None: ...

    def client_left(self) -> None: ...


class _RequestNumber(msgspec.Struct):
    id: int


class _Greeting(msgspec.Struct):
    """A Hello of any version, with the fields needed to report a version mismatch."""

    class Request(msgspec.Struct):
        """The Hello itself."""

        ask: str
        version: str = "unknown"
        protocol: int = -1

    id: int
    request: Request


class Server:
    """Accepts connections of this user on a listening socket."""

    def __init__(self, host: HostServices) -> None:
        self._host = host
        self._servers: list[asyncio.Server] = []
        self._open: set[_Conversation] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Accept on this socket, too: a socket that was removed is replaced while its connections stay open."""
        # asyncio would remove the path on closing, even if another host's socket is there by then; whoever bound it
        # removes it.
        extra: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._servers.append(await asyncio.start_unix_server(self._accept, sock=listening, backlog=BACKLOG, **extra))

    async def close(self) -> None:
        """Accept no new connections; send the existing ones what was written for them, and close them."""
        for server in self._servers:
            server.close()
        for conversation in tuple(self._open):
            conversation.finish()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        try:
            uid, pid = peer_process(connection)
        except OSError:
            uid, pid = -1, 0
        if uid != os.getuid():
            log.warning("refused a connection of user %d (process %d)", uid, pid)
            writer.transport.abort()
            return
        conversation = _Conversation(self._host, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(conversation)
        try:
            await conversation.run()
        finally:
            self._open.discard(conversation)


class _Conversation:
    """One client, from its Hello on."""

    def __init__(self, host: HostServices, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._lines = LineReader(reader)
        self._reader = reader
        self._writer = writer
        self._subscriptions: dict[int, Subscription] = {}
        self._concurrent: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until the client leaves, is disconnected or sends invalid data. Raises nothing."""
        greeted = False
        WRITER.set(QueueClient())
        try:
            greeted = await self._greet()
            if greeted:
                self._host.client_connected()
                while (line := await self._lines.line(MAX_LINE_BYTES)) is not None:
                    await self._handle_line(line)
        except LineTooLong as error:
            log.warning("cut off a client: %s", error.message)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except Exception:
            log.exception("a conversation broke down")
        finally:
            for task in self._concurrent:
                task.cancel()
            for subscription in self._subscriptions.values():
                self._host.subscriptions.remove(subscription)
            self._writer.close()
            if greeted:
                self._host.client_left()

    def finish(self) -> None:
        """End the conversation as if the client had hung up; what is written is still sent."""
        with suppress(RuntimeError):  # closing already
            self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        self._reader.feed_eof()

    def push(self, subscription: int, lines: Sequence[bytes]) -> None:
        if not self._writer.is_closing():
            self._writer.write(b'{"type":"pushed","id":%d,"entries":[' % subscription + b",".join(lines) + b"]}\n")

    def is_lagging(self) -> bool:
        return self._writer.transport.get_write_buffer_size() > MAX_BACKLOG

    def catch_up(self, subscription: Subscription, last_seq: int) -> None:
        self._spawn(self._catch_up(subscription, last_seq))

    async def drain(self) -> None:
        """Wait until the client has read what was written; disconnect one that reads nothing for STALL_S."""
        waiting = self._writer.transport.get_write_buffer_size()
        while True:
            try:
                async with asyncio.timeout(STALL_S):
                    return await self._writer.drain()
            except TimeoutError:
                left = self._writer.transport.get_write_buffer_size()
                if left >= waiting:
                    log.warning("cut off a client that leaves %d bytes lying", left)
                    self._writer.transport.abort()
                    raise
                waiting = left

    def end(self, subscription: int, failure: Failure) -> None:
        self._subscriptions.pop(subscription, None)
        self._send_answer(subscription, Refused(failure=failure))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._concurrent.add(task)
        task.add_done_callback(self._concurrent.discard)

    async def _greet(self) -> bool:
        async with asyncio.timeout(_HELLO_S):
            line = await self._lines.line(_HELLO_BYTES)
        if line is None:
            return False
        try:
            greeting = msgspec.json.decode(line, type=_Greeting)
            if greeting.request.ask == "hello" and greeting.request.protocol != PROTOCOL:
                self._send_answer(greeting.id, Refused(failure=_wrong_protocol(greeting.request)))
                return False
            ask = msgspec.json.decode(line, type=NumberedRequest)
        except NONSENSE as error:
            log.warning("cut off a client that began with %r: %s", line[:80], error)
            return False
        if not isinstance(ask.request, Hello):
            bad = BadRequest(
                "The first request to a host must be hello.", hint="Connect with sessions.client.connection.HostClient."
            )
            self._send_answer(ask.id, Refused(failure=bad.as_failure()))
            return False
        if self._host.stopping:
            return False  # it would lose the connection after its first request; hung up on now, it starts another host
        self._send_answer(ask.id, self._host.welcome(ask.request))
        return True

    async def _handle_line(self, line: bytes) -> None:
        try:
            ask = msgspec.json.decode(line, type=NumberedRequest)
        except NONSENSE as error:
            # HeadcodeErrors come from the values' own checks and explain themselves.
            own = error if isinstance(error, HeadcodeError) else None
            bad = own or BadRequest(f"The host does not understand this request: {error}.", hint="headcode host stop")
            self._send_answer(_number(line), Refused(failure=bad.as_failure()))
            await self.drain()
            return
        if type(ask.request) in SLOW and len(self._concurrent) < _MAX_CONCURRENT:
            self._spawn(self._reply_concurrently(ask, line))
        else:
            await self._reply(ask, line)

    async def _reply_concurrently(self, ask: NumberedRequest, line: bytes) -> None:
        with suppress(OSError, TimeoutError):  # the client hung up or was disconnected
            await self._reply(ask, line)

    async def _reply(self, ask: NumberedRequest, line: bytes) -> None:
        answer: AnyAnswer
        then: Callable[[], None] | None = None
        try:
            match ask.request:
                case Hello():
                    answer = self._host.welcome(ask.request)
                case Subscribe():
                    answer, then = await self._subscribe(ask.id, ask.request)
                case Unsubscribe():
                    subscription = self._subscriptions.pop(ask.request.subscription, None)
                    if subscription is not None:
                        self._host.subscriptions.remove(subscription)
                    answer = Done()
                case _:
                    answer = await self._host.answer(ask.request)
        except HeadcodeError as error:
            answer = Refused(failure=error.as_failure())
        except OSError as error:
            log.exception("request %r", line[:400])
            answer = Refused(failure=describe_os_error(error).as_failure())
        except Exception as error:  # one request must not end the host
            log.exception("request %r", line[:400])
            failure = Failure(
                family="host", name=type(error).__name__, message=f"The host failed: {error}", hint="headcode host log"
            )
            answer = Refused(failure=failure)
        self._send_answer(ask.id, answer)
        if then is not None:
            then()
        await self.drain()

    async def _subscribe(self, number: int, request: Subscribe) -> tuple[Subscribed, Callable[[], None]]:
        """Return the answer, and a function to call once it is sent."""

        def find(recorder: Recorder) -> tuple[tuple[str, str | None, int], list[Any]]:
            session_id = find_session(recorder.store, request.session)
            run_id = None if request.run is None else find_run(recorder.store, request.run)
            return (session_id, run_id, recorder.last_seq(session_id)), []

        session_id, run_id, last_seq = await self._host.writer.change(find)
        subscription = Subscription(self, number, session_id, run_id, max(0, request.after_seq))
        self._subscriptions[number] = subscription
        self._host.subscriptions.add(subscription)

        return Subscribed(session_id=session_id, last_seq=last_seq), lambda: self.catch_up(subscription, last_seq)

    async def _catch_up(self, subscription: Subscription, last_seq: int) -> None:
        try:
            await self._host.subscriptions.catch_up(subscription, self._host.writer, last_seq)
        except HeadcodeError as error:
            self._host.subscriptions.remove(subscription)
            self.end(subscription.number, error.as_failure())
        except OSError:
            pass  # the client hung up or was disconnected

    def _send_answer(self, number: int, answer: AnyAnswer) -> None:
        if not self._writer.is_closing():
            with suppress(OSError):
                self._writer.write(msgspec.json.encode(Reply(id=number, answer=answer)) + b"\n")


def _number(line: bytes) -> int:
    """Return the request's number if it can be read; else -1."""
    try:
        return msgspec.json.decode(line, type=_RequestNumber).id
    except NONSENSE:
        return -1


def _wrong_protocol(hello: _Greeting.Request) -> Failure:
    return WrongProtocol(
        f"The running host is Headcode {version()} with protocol {PROTOCOL}; "
        f"you are Headcode {hello.version} with protocol {hello.protocol}.",
        hint="End it; the next command starts one of your version: headcode host stop",
    ).as_failure()
