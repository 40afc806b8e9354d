"""Test clients with other protocols, invalid data or silence; none of them disturbs another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest

from engine.errors import Failure
from engine.events import Scored
from sessions.client.connection import HostClient
from sessions.errors import Refusal, WrongProtocol
from sessions.protocol import (
    PROTOCOL,
    Done,
    FromHost,
    Hello,
    ListSessions,
    NumberedRequest,
    Refused,
    Reply,
    SessionsAnswer,
    ShowSession,
    StopHost,
    Subscribe,
)
from sessions.transport.socket_folder import make_private


class Raw:
    """A client that can send anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, line: bytes) -> None:
        self.writer.write(line + b"\n")
        await self.writer.drain()

    async def ask(self, number: int, request: object) -> None:
        await self.say(msgspec.json.encode(NumberedRequest(id=number, request=request)))

    async def hear(self) -> Reply:
        word = msgspec.json.decode(await self.reader.readline(), type=FromHost)
        assert isinstance(word, Reply)
        return word

    async def cut_off(self) -> bool:
        try:
            async with asyncio.timeout(600):
                return await self.reader.read() == b""
        except ConnectionError:
            return True


@pytest.fixture
async def dial(lab) -> AsyncIterator[Callable[[], Awaitable[Raw]]]:
    opened: list[Raw] = []

    async def dial() -> Raw:
        opened.append(Raw(*await asyncio.open_unix_connection(str(lab.places.socket), limit=1 << 26)))
        return opened[-1]

    yield dial
    for raw in opened:
        raw.writer.transport.abort()
        with suppress(OSError):
            await raw.writer.wait_closed()


async def test_another_protocol_is_told_both_versions(lab, dial) -> None:
    client = await lab.connect()
    raw = await dial()
    await raw.say(b'{"id":1,"request":{"ask":"hello","version":"9.9","protocol":99,"colour":"red"}}')
    answer = (await raw.hear()).answer
    assert isinstance(answer, Refused)
    assert answer.failure.name == "WrongProtocol"
    assert "9.9 with protocol 99" in answer.failure.message
    assert f"protocol {PROTOCOL}" in answer.failure.message
    assert "headcode host stop" in answer.failure.hint
    assert await raw.cut_off()
    assert (await lab.status(client)).clients == 1


async def test_a_host_that_stops_greets_nobody(lab, dial) -> None:
    """Its answer to the next request would never come; who is hung up on starts another host."""
    client = await lab.connect()
    run = await lab.queue(client, "hang")
    await lab.entries(client, run.session_id, lambda have: len(have) > 8)
    raw = await dial()
    await client.ask(StopHost(), Done)
    await raw.ask(1, Hello(version="0"))
    assert await raw.cut_off()
    another = await lab.connect()
    assert another.welcome.pid != client.welcome.pid
    assert (await lab.status(another)).clients == 1


@pytest.mark.parametrize(
    "words", [b'{"type":"reply","id":1,"answer":{"say":"refused","failure":%s}}\n', b"HTTP/1.1 400\n"]
)
async def test_a_host_of_another_protocol_is_an_error_of_its_own(lab, words: bytes) -> None:
    make_private(lab.places.runtime)
    failure = Failure(family="host", name="WrongProtocol", message="mine 2, yours 1", hint="headcode host stop")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(words.replace(b"%s", msgspec.json.encode(failure)))
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(serve, str(lab.places.socket)):
        with pytest.raises(WrongProtocol) as found:
            await HostClient.connect(lab.places, start=False)
    assert "headcode host stop" in found.value.hint


@pytest.mark.parametrize(
    "first",
    [b"GET / HTTP/1.1", b"\x00\xff\xfe", b"{}", b"[" * 60_000, b'{"id":1,"request":{"ask":"status"}}', b"x" * 70_000],
)
async def test_who_begins_with_nonsense_is_cut_off(lab, dial, first: bytes) -> None:
    client = await lab.connect()
    raw = await dial()
    await raw.say(first)
    async with asyncio.timeout(600):
        rest = await raw.reader.read()
    assert rest == b"" or b'"refused"' in rest
    assert (await lab.status(client)).clients == 1


async def test_nonsense_after_hello_is_answered_and_the_conversation_goes_on(lab, dial) -> None:
    client = await lab.connect()
    raw = await dial()
    await raw.ask(1, Hello(version="0"))
    assert "you are 0" in (await raw.hear()).answer.notice
    for line, number in (
        (b"garbage", -1),
        (b'{"id":7,"request":{"ask":"dance"}}', 7),
        (b'{"id":8,"request":{"ask":"queue_run","session":5}}', 8),
        (b'{"id":9,"request":{"ask":"queue_run","session":"x","config":{"seeds":[]}}}', 9),
    ):
        await raw.say(line)
        answer = await raw.hear()
        assert (answer.id, type(answer.answer)) == (number, Refused)
    assert (answer.answer.failure.family, answer.answer.failure.name) == ("input", "ConfigError")
    await raw.ask(10, ListSessions())
    assert isinstance((await raw.hear()).answer, SessionsAnswer)
    raw.writer.write(b'{"id":11,"request":{"ask":"sta')  # half a message, then gone
    raw.writer.transport.abort()
    assert (await lab.status(client)).pid == client.welcome.pid


async def test_a_line_without_end_is_cut_off(lab, dial) -> None:
    client = await lab.connect()
    raw = await dial()
    await raw.ask(1, Hello(version="0"))
    await raw.hear()
    with pytest.raises(ConnectionError):  # noqa: PT012  # whichever write meets the closed end
        for _ in range(80):
            raw.writer.write(b"x" * (1 << 20))
            await raw.writer.drain()
        await raw.reader.readexactly(1)
        raise AssertionError("it read all of it")
    assert (await lab.status(client)).pid == client.welcome.pid


async def test_a_client_that_does_not_read_is_cut_off_and_disturbs_nobody(
    lab, dial, until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STALL_S", "3")  # a client on a busy machine reads that often
    client = await lab.connect()
    session = await lab.session(client)
    lazy = await dial()
    lazy.writer.transport.pause_reading()
    await lazy.ask(1, Hello(version="0"))
    await lazy.ask(2, Subscribe(session=session.session_id))
    run = await lab.again(client, session.session_id, model="large:300")
    entries, _ = await lab.finish(client, run)
    assert sum(isinstance(entry.event, Scored) for entry in entries) > 300
    log = lab.places.logs / "host.log"
    await until(lambda: "cut off a client that leaves" in log.read_text())
    assert (await lab.status(client)).clients == 1


async def test_a_broken_request_is_refused_with_its_own_family(lab) -> None:
    client = await lab.connect()
    with pytest.raises(Refusal) as found:
        await client.ask(ShowSession(session="nobody"), Done)
    assert (found.value.family, found.value.failure.name) == ("input", "NoSuchRecord")
