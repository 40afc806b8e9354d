"""Lines from a stream, with a limit and no trust in the last one."""

import asyncio

import msgspec

from engine.errors import HeadcodeError
from sessions.errors import HostError

NONSENSE = (msgspec.MsgspecError, HeadcodeError, UnicodeDecodeError, RecursionError)
"""What decoding a line can raise: no JSON, another shape, values that refuse themselves, no UTF-8, too deep."""

_CHUNK = 1 << 18


class LineTooLong(HostError):
    """The other side sent a line beyond the limit; nothing after it can be trusted."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A line of more than {limit} bytes arrived.", hint="Large arrays travel as files.")


class LineReader:
    """Reads whole lines. asyncio's own reader hands out a torn last line as if it were whole."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0

    async def line(self, limit: int) -> bytes | None:
        """The next line without its end; None when the stream is over. What came after the last newline is dropped.

        Raises LineTooLong, after which the reader must not be used any more.
        """
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end > limit or (end < 0 and len(self._buffer) > limit):
                raise LineTooLong(limit)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._buffer)
            chunk = await self._stream.read(_CHUNK)
            if not chunk:
                return None
            self._buffer += chunk
