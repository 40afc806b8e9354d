"""Read lines from a stream, with a limit on their length and without an incomplete last line."""

import asyncio

import msgspec

from engine.errors import HeadcodeError
from sessions.errors import HostError

NONSENSE = (msgspec.MsgspecError, HeadcodeError, UnicodeDecodeError, RecursionError)
"""What decoding a line can raise: invalid JSON or UTF-8, a wrong shape, values that fail their checks, too deep."""

_CHUNK = 1 << 18


class LineTooLong(HostError):
    """The other side sent a line beyond the limit; the rest of the stream cannot be used."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A line of more than {limit} bytes arrived.", hint="Large arrays are sent as files.")


class LineReader:
    """Reads complete lines. asyncio's own reader returns an incomplete last line as if it were complete."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0

    async def line(self, limit: int) -> bytes | None:
        """Return the next line without its end, or None at the end of the stream, ignoring an incomplete last line.

        Raises LineTooLong, after which the reader must not be used.
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
