"""The real host, which writes down what its process holds whenever it is sent SIGUSR1.

`python -P soak_host.py REPORT ...`: a JSON object in the file REPORT, written whole or not at all. The rest of the
arguments are the host's own. SOAK_TRACE=1 traces allocations, too: the report then names the lines that hold most.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import _duckdb
import duckdb

from sessions.host import __main__ as host_module
from sessions.host.__main__ import HeadcodeHost, main

HOSTS: list[HeadcodeHost] = []
FRAMES = 12


class WatchedHost(HeadcodeHost):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        HOSTS.append(self)


def held(host: HeadcodeHost) -> dict[str, int]:
    """Return the length of every collection in the host's long-lived parts, where growth would show."""
    found: dict[str, int] = {}
    recorder = host.writer._recorder
    parts = {
        "host": host,
        "hub": host.subscriptions,
        "ledger": host.writer,
        "recorder": recorder,
        "projector": recorder._projector,
        "runs": host.runs,
        "supervisor": host.supervisor,
        "server": host.server,
    }
    parts |= {f"own.{type(each).__name__}": each for each in host._states.values()}
    for name, part in parts.items():
        for key, value in getattr(part, "__dict__", {}).items():
            if hasattr(value, "__len__") and not isinstance(value, str | bytes):
                found[f"{name}.{key}"] = len(value)
    return found


def duckdb_memory(host: HeadcodeHost) -> dict[str, int]:
    """Return DuckDB's memory use by purpose; {} while its connection is busy."""
    try:
        cursor = host._store.cursor()
    except duckdb.Error:
        return {}
    try:
        sql = "SELECT tag, memory_usage_bytes FROM duckdb_memory() WHERE memory_usage_bytes > 0 ORDER BY 2 DESC"
        return dict(cursor.execute(sql).fetchall())
    finally:
        cursor.close()


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "top"]
    ]


def allocators() -> dict[str, int]:
    """Return the bytes that the allocators of C and DuckDB have in use and keep free.

    Only where the libraries report them.
    """
    found: dict[str, int] = {}
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallinfo2.restype = _Mallinfo
        info = libc.mallinfo2()
        found = {"c_used": info.used + info.hblkhd, "c_free": info.free}
    with suppress(OSError, AttributeError):
        ask = ctypes.CDLL(_duckdb.__file__).duckdb_je_mallctl
        size, value, one = ctypes.c_size_t(8), ctypes.c_size_t(), ctypes.c_uint64(1)
        ask(b"epoch", None, None, ctypes.byref(one), ctypes.c_size_t(8))
        for name in ("allocated", "resident", "retained"):
            if ask(f"stats.{name}".encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
                found[f"duckdb_{name}"] = value.value
    return found


def measure() -> dict[str, Any]:
    # Not gc.get_objects(): it holds tuples that another thread is still filling, which then fails with a SystemError.
    report: dict[str, Any] = {"blocks": sys.getallocatedblocks()}
    report["allocators"] = allocators()
    if HOSTS:
        report["held"] = held(HOSTS[0])
        report["duckdb"] = duckdb_memory(HOSTS[0])
    try:
        report["tasks"] = len(asyncio.all_tasks(asyncio.get_running_loop()))
    except RuntimeError:
        report["tasks"] = 0
    if tracemalloc.is_tracing():
        report["traced"] = tracemalloc.get_traced_memory()[0]
        lines = tracemalloc.take_snapshot().statistics("lineno")[:FRAMES]
        report["lines"] = [f"{each.size >> 10} KiB in {each.count}: {each.traceback}" for each in lines]
    return report


def answer(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(measure()))
    new.replace(path)


if __name__ == "__main__":
    goal = Path(sys.argv[1])
    if os.environ.get("SOAK_TRACE"):
        tracemalloc.start()
    host_module.HeadcodeHost = WatchedHost
    signal.signal(signal.SIGUSR1, lambda *_: answer(goal))
    sys.exit(main(sys.argv[2:]))
