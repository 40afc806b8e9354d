"""Uses one host for hours, lightly and in every way, and says whether memory, descriptors, threads or waits grow.

python -m tests.torture.soak --minutes 120 [--out FILE] [--pace 1] [--home FOLDER]

One JSON object a line goes to FILE (every --every seconds, the verdict last); the exit code is 1 where something grew
or failed. It takes about a third of one core at most; --pace 10 does ten times as much in the same time. Linux only: it
reads /proc.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sessions.client.connection import HostClient, stop_host
from sessions.protocol import QuerySql, SessionDetailAnswer, ShowSession, SqlAnswer

from .commands import places_of
from .soak_people import PEOPLE, Soak

MEMORY_GROWS = 0.05
"""Allowed growth of a process's memory, from the second quarter of the soak to the last."""
LATENCY_GROWS = 0.5
"""The same for latencies, minus the slowdown of an answer without the store, which other programs cause."""
DRIFT = 1.5
"""Descriptors or threads; their numbers vary with the current work, so medians are compared."""
ROWS = "SELECT (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM runs) AS runs"


def memory(pid: int) -> dict[str, float]:
    """Return megabytes of a process: resident, proportional, and anonymous memory."""
    found = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Rss", "Pss", "Anonymous"):
                found[name.lower()] = round(int(rest.split()[0]) / 1024, 1)
    return found


def process(pid: int) -> dict[str, Any]:
    found: dict[str, Any] = dict(memory(pid))
    with suppress(OSError):
        found["descriptors"] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        found["threads"] = len(list(Path(f"/proc/{pid}/task").iterdir()))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found["cpu_s"] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


async def inside(soak: Soak, report: Path) -> dict[str, Any]:
    """Return what the host reports about its objects; {} if it does not within some seconds."""
    report.unlink(missing_ok=True)  # noqa: ASYNC240  # nothing else here waits for anything
    try:
        os.kill(soak.host_pid, signal.SIGUSR1)
    except OSError:
        return {}
    for _ in range(100):
        await asyncio.sleep(0.1)
        with suppress(OSError):
            return dict(json.loads(report.read_text()))  # noqa: ASYNC240
    return {}


async def sample(soak: Soak, client: HostClient, begun: float, report: Path) -> dict[str, Any]:
    line: dict[str, Any] = {"t_s": round(time.monotonic() - begun, 1)}
    line["host"] = process(soak.host_pid)
    line["worker"] = process(soak.worker_pid) if soak.worker_pid else {}
    line["clients"] = soak.clients
    line["store_bytes"] = soak.store_bytes
    line["weights_bytes"] = sum(each.stat().st_size for each in (soak.places.data / "sae").glob("*") if each.is_file())
    row = (await client.ask(QuerySql(sql=ROWS), SqlAnswer)).table.rows[0]
    line |= {"sessions": row[0], "runs": row[1]}
    for name, seconds in soak.took.items():
        each = sorted(1000 * one for one in seconds)
        seconds.clear()
        if each:
            top = each[min(int(0.95 * len(each)), len(each) - 1)]
            line[name] = {"n": len(each), "p50_ms": round(statistics.median(each), 2), "p95_ms": round(top, 2)}
    line["inside"] = await inside(soak, report)
    line["load"] = round(os.getloadavg()[0], 2)
    line["done"] = dict(soak.done)
    line["refused"] = dict(soak.refused)
    line["faults"] = len(soak.faults)
    line["last_faults"] = soak.faults[-3:]
    return line


def _values(lines: Sequence[dict[str, Any]], *path: str) -> list[float]:
    found = []
    for line in lines:
        value: Any = line
        for key in path:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if isinstance(value, int | float):
            found.append(float(value))
    return found


def judge(lines: Sequence[dict[str, Any]], faults: Sequence[str]) -> dict[str, Any]:
    """Return what grew from the second quarter to the last, and a description of all faults."""
    n = len(lines)
    early, late = lines[n // 4 : n // 2], lines[n - n // 4 :]
    wrong = [*faults[:20]]
    report: dict[str, Any] = {"verdict": True, "samples": n}
    if not early or not late:
        return report | {"wrong": [*wrong, "too few samples to say anything"]}

    def both(*path: str) -> tuple[float, float] | None:
        before, after = _values(early, *path), _values(late, *path)
        return (statistics.median(before), statistics.median(after)) if before and after else None

    for who in ("host", "worker"):
        for kind in ("rss", "pss", "anonymous"):
            found = both(who, kind)
            if found is None:
                wrong.append(f"the {who} was never seen")
                break
            grown = found[1] / found[0] - 1
            report[f"{who}_{kind}"] = {
                "early_mb": found[0],
                "late_mb": found[1],
                "grown_percent": round(100 * grown, 1),
            }
            if kind == "rss" and grown > MEMORY_GROWS:
                wrong.append(f"the {who}'s memory grew from {found[0]:.0f} to {found[1]:.0f} MB")
        for kind in ("descriptors", "threads"):
            found = both(who, kind)
            if found is not None:
                report[f"{who}_{kind}"] = found
                if found[1] - found[0] > DRIFT:
                    wrong.append(f"the {who}'s {kind} grew from {found[0]:g} to {found[1]:g}")
    idle = both("status", "p50_ms")
    for kind in ("note", "list"):
        found = both(kind, "p50_ms")
        if found is not None and idle is not None:
            slower = found[1] / found[0] / max(1.0, idle[1] / idle[0]) - 1
            report[kind] = {"early_ms": found[0], "late_ms": found[1], "slower_percent": round(100 * slower, 1)}
            if slower > LATENCY_GROWS:
                wrong.append(f"a {kind} took {found[0]:.1f} ms, later {found[1]:.1f} ms")
    for key in ("store_bytes", "sessions", "runs"):
        report[key] = [lines[0].get(key), lines[-1].get(key)]
    report["done"] = lines[-1].get("done", {})
    report["refused"] = lines[-1].get("refused", {})
    return report | {"wrong": wrong}


async def soak_for(options: argparse.Namespace, home: Path) -> int:
    report, folder = home / "inside.json", home / "bundles"
    folder.mkdir(parents=True, exist_ok=True)
    host = Path(__file__).with_name("soak_host.py")
    command = [sys.executable, "-P", str(host), str(report)]
    places = places_of(home)
    soak = Soak(places, command, folder, seed=options.seed, pace=options.pace)
    begun, lines = time.monotonic(), []
    tasks = [
        asyncio.create_task(soak.forever(f"{life.__name__} {number}", life))
        for life, n in PEOPLE
        for number in range(n)
    ]
    out = options.out.open("w", buffering=1) if options.out else sys.stdout
    try:
        async with await soak.connect() as client:
            while (left := begun + 60 * options.minutes - time.monotonic()) > 0:
                await asyncio.sleep(min(options.every, left))
                lines.append(await sample(soak, client, begun, report))
                print(json.dumps(lines[-1]), file=out, flush=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for session, n in soak.notes.items():
                have = len((await client.ask(ShowSession(session=session), SessionDetailAnswer)).detail.notes)
                if have < n:
                    soak.fault(f"{n} notes were acknowledged in {session}, {have} are there")
    finally:
        for task in tasks:
            task.cancel()
        await stop_host(places)
        verdict = judge(lines, soak.faults)
        print(json.dumps(verdict), file=out, flush=True)
        if options.out:
            print(json.dumps(verdict, indent=1))
            out.close()
    return 1 if verdict["wrong"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--every", type=float, default=30, help="seconds between lines")
    parser.add_argument("--out", type=Path, help="where the lines go; standard output where it is left out")
    parser.add_argument("--pace", type=float, default=1, help="how many times as busy as people are")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, help="a folder to use and to keep; else one that is removed")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="hc-soak-"))
    home.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(soak_for(options, home.resolve()))
    finally:
        if options.home is None:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
