"""Send invalid data to the socket: the host survives and answers valid clients."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import msgspec

from sessions.protocol import (
    CancelRun,
    CreateSession,
    GetStatus,
    Hello,
    ListSessions,
    NumberedRequest,
    QueueRun,
    SetExamples,
    ShowSession,
    Subscribe,
)

HELLO = msgspec.json.encode(NumberedRequest(id=1, request=Hello(version="0"))) + b"\n"
LINES = tuple(
    msgspec.json.encode(NumberedRequest(id=number, request=request)) + b"\n"
    for number, request in enumerate(
        (
            GetStatus(),
            ListSessions(limit=3),
            ShowSession(session="latest"),
            CreateSession(model="toy", task="ioi"),
            QueueRun(session="nowhere"),
            QueueRun(again="nowhere"),
            CancelRun(run="nowhere"),
            SetExamples(session="latest", examples=()),
            Subscribe(session="latest", after_seq=-5),
        ),
        start=2,
    )
)
NASTY = (
    b"\0" * 300,
    b"\xff\xfe\xfa" * 50 + b"\n",
    b"{" * 5_000 + b"\n",
    b'{"id":' + b"9" * 4_000 + b',"request":{"ask":"status"}}\n',
    b'{"id":1e400,"request":{"ask":"status"}}\n',
    b'{"id":null,"request":null}\n',
    b'{"id":3,"request":{"ask":"list_sessions","limit":-99999999999999999999999}}\n',
    b'{"id":3,"request":{"ask":"list_sessions","limit":9223372036854775807}}\n',
    b'{"id":3,"request":{"ask":"show_session","session":"\\ud800"}}\n',
    b'{"id":3,"request":{"ask":"show_session","session":"' + b"x" * 200_000 + b'"}}\n',
    b'{"id":3,"request":{"ask":"create_session","model":"\\u0000","name":"\\u0000"}}\n',
    b"\n" * 2_000,
    b'{"id":3,"request":{"ask":"status","deep":' + b"[" * 30_000 + b"\n",
    b'{"id":3,"request":{"ask":"show_session","session":"\xdc\xff"}}\n',
)


def mutated(chance: random.Random, line: bytes) -> bytes:
    """Return the line with some bytes changed, removed, doubled or inserted."""
    data = bytearray(line)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 20)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 40)]
            case _:
                data[at:at] = chance.choice((b'"', b"{", b"}", b"null", b"\n", b"-", b"\\u0000", b"1e9"))
    return bytes(data)


async def conversation(chance: random.Random, socket: str) -> None:
    """Act as one hostile client, from the first byte to a hang-up at any moment."""
    with suppress(OSError):
        reader, writer = await asyncio.open_unix_connection(socket)
        listening = asyncio.create_task(reader.read(1 << 16))
        try:
            if chance.random() < 0.7:
                writer.write(HELLO)
            for _ in range(chance.randint(1, 12)):
                piece = chance.choice(
                    (chance.choice(LINES), chance.choice(NASTY), mutated(chance, chance.choice(LINES)))
                )
                while piece:
                    size = chance.choice((1, 7, 4096, len(piece)))
                    writer.write(piece[:size])
                    piece = piece[size:] if chance.random() > 0.02 else b""  # half a message
                    if chance.random() < 0.1:
                        await writer.drain()
        finally:
            listening.cancel()
            if chance.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()
            await asyncio.gather(listening, return_exceptions=True)


async def test_whatever_strangers_say_the_host_lives(lab) -> None:
    client = await lab.connect()
    await lab.session(client)
    pid, chance = client.welcome.pid, random.Random(20261121)
    for _ in range(40):
        await asyncio.gather(*(conversation(random.Random(chance.random()), str(lab.places.socket)) for _ in range(10)))
        status = await lab.status(client)
        assert status.pid == pid
    log = (lab.places.logs / "host.log").read_text()
    for words in ("a conversation broke down", "Traceback"):
        assert words not in log, log[-4000:]
    fresh = await lab.connect(start=False)
    assert fresh.welcome.pid == pid


async def test_those_who_come_and_say_nothing_keep_nobody_waiting(lab, monkeypatch: Any) -> None:
    monkeypatch.setenv("TEST_HELLO_S", "0.5")
    client = await lab.connect()
    silent = [await asyncio.open_unix_connection(str(lab.places.socket)) for _ in range(60)]
    for _, writer in silent[::2]:
        writer.write(b'{"id":1,"requ')  # slower than any time limit
    async with asyncio.timeout(600):
        assert (await lab.status(client)).clients == 1
        await lab.connect(start=False)
        for reader, _ in silent:
            assert await reader.read() == b""
    for _, writer in silent:
        writer.close()
