"""What DuckDB and C's allocator keep of memory that nobody needs any more, and when it is time to have it back."""

import ctypes
import weakref
from contextlib import suppress

import duckdb

_WORN = 1_000
"""Questions after which it is worth opening the database anew. DuckDB remembers each block of memory that answering one
took, in about 200 bytes: 4 to 70 KB for a question with joins, until there are 32,768 of each of its eight kinds of
blocks, which makes 50 MB."""


class Wear:
    """How much an open database was asked, and who has a cursor of it."""

    def __init__(self) -> None:
        self.asked = 0
        self.lent: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()

    @property
    def worn(self) -> float:
        """From 1 on it is worth opening the database anew."""
        return self.asked / _WORN

    def put_off(self) -> None:
        """It is being tried: where that fails, it is tried again after some more questions, not at once."""
        self.asked //= 8

    def lend(self, cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        self.lent.add(cursor)
        return cursor


def give_back_memory() -> None:
    """Returns free pages to the system where the C library can (glibc): threads that came and went leave 20 to 30 MB
    of them behind."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
