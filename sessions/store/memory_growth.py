"""What DuckDB and C's allocator keep of memory that nobody needs any more, and when it is time to have it back."""

import ctypes
import weakref
from contextlib import suppress

import duckdb

_RENEW_AT = 1_000
"""Questions after which it is worth opening the database anew. DuckDB remembers each block of memory that answering one
took, in about 200 bytes: 4 to 70 KB for a question with joins, until there are 32,768 of each of its eight kinds of
blocks, which makes 50 MB."""


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""The numbers of these parameters in glibc's malloc.h."""


class MemoryGrowth:
    """How much an open database was asked, and who has a cursor of it."""

    def __init__(self) -> None:
        self.asked = 0
        self.lent: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()

    @property
    def ratio(self) -> float:
        """From 1 on it is worth opening the database anew."""
        return self.asked / _RENEW_AT

    def postpone(self) -> None:
        """It is being tried: where that fails, it is tried again after some more questions, not at once."""
        self.asked //= 8

    def track_cursor(self, cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        self.lent.add(cursor)
        return cursor


def give_back_memory() -> None:
    """Returns free pages to the system where the C library can (glibc): of a heap of 100 MB in some milliseconds."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_heap_small() -> None:
    """Has C's allocator (glibc) return large blocks as soon as they are freed, and share few heaps among threads.

    Left alone, it raises its limit for blocks of their own to the largest one ever freed (up to 32 MB) and keeps a heap
    for every thread that ever ran beside others: free memory then lies between what is used, and grows for hours.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter, value in ((_M_MMAP_THRESHOLD, 128 << 10), (_M_TRIM_THRESHOLD, 128 << 10), (_M_ARENA_MAX, 2)):
            libc.mallopt(parameter, value)
