"""Limit the memory that DuckDB and C's allocator hold without using it."""

import ctypes
import weakref
from contextlib import suppress

import duckdb

_RENEW_AT = 1_000
"""Queries after which it is worth reopening the database.

DuckDB remembers each block of memory that a query used, in about 200 bytes: 4 to 70 KB for a query with joins, up to
32,768 of each of its eight kinds of blocks, which makes 50 MB.
"""


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""The numbers of these parameters in glibc's malloc.h."""


class MemoryGrowth:
    """Counts the queries of an open database and tracks its cursors."""

    def __init__(self) -> None:
        self.asked = 0
        self.cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()

    @property
    def ratio(self) -> float:
        """Return the growth as a ratio: from 1 on it is worth reopening the database."""
        return self.asked / _RENEW_AT

    def postpone(self) -> None:
        """Count part of the queries again before a reopening: if it fails, it is retried later, not at once."""
        self.asked //= 8

    def track_cursor(self, cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        self.cursors.add(cursor)
        return cursor


def give_back_memory() -> None:
    """Return free pages to the system if the C library can (glibc): some milliseconds for a heap of 100 MB."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_heap_small() -> None:
    """Make C's allocator (glibc) return large blocks when freed, and share few heaps among threads.

    By default it raises its threshold for separate blocks to the largest one ever freed (up to 32 MB) and keeps a
    heap for every concurrent thread: free memory is then scattered between used blocks, and grows for hours.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for parameter, value in ((_M_MMAP_THRESHOLD, 128 << 10), (_M_TRIM_THRESHOLD, 128 << 10), (_M_ARENA_MAX, 2)):
            libc.mallopt(parameter, value)
