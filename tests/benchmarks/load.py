"""How many notes of many clients a host takes, and how long a quiet client waits beside them.

python tests/benchmarks/load.py [--clients 200] [--notes 5] [--rounds 3] [--against CHECKOUT]

Every way is measured in every round, one after the other, on a new store each time: what other programs take of the
machine, they take of all of them. Only the ratios mean something on a busy machine. Not part of the test run.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import (
    ChangeTags,
    CreateSession,
    ListSessions,
    NoteAnswer,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    ShowSession,
    WriteNote,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUSY, QUIET_ROUNDS = 50, 20


def percentile(values: list[float], share: float) -> float:
    each = sorted(values)
    return each[min(int(share * len(each)), len(each) - 1)]


def ways(against: Path | None) -> dict[str, list[str]]:
    """Each way's host."""

    def host(root: Path, **environ: str) -> list[str]:
        pairs = [f"{key}={value}" for key, value in {"PYTHONPATH": str(root), **environ}.items()]
        return ["env", *pairs, sys.executable, "-P", str(HERE / "load_host.py")]

    found = {"one by one": host(ROOT, LOAD_GROUP="1"), "together": host(ROOT)}
    return ({"the other checkout": host(against)} if against else {}) | found


async def write_all(places: AppFolders, command: list[str], n_clients: int, n_notes: int) -> dict[str, float]:
    """All clients at once, each writing one note after another on a session of its own."""
    begun = time.perf_counter()
    clients = [await HostClient.connect(places, timeout_s=120, command=command)]
    while len(clients) < n_clients:  # not all at once: earlier hosts turn the 129th away
        some = min(50, n_clients - len(clients))
        clients += await asyncio.gather(*(HostClient.connect(places, timeout_s=120) for _ in range(some)))
    connected = time.perf_counter() - begun
    made = await asyncio.gather(
        *(
            each.ask(CreateSession(name=f"client {k}", model="toy", task="ioi"), SessionAnswer)
            for k, each in enumerate(clients)
        )
    )
    sessions = [each.session.session_id for each in made]
    waits: list[float] = []

    async def write(client: HostClient, session: str) -> None:
        for k in range(n_notes):
            since = time.perf_counter()
            await client.ask(WriteNote(session=session, text=f"note {k}"), NoteAnswer)
            waits.append(time.perf_counter() - since)

    begun = time.perf_counter()
    await asyncio.gather(*map(write, clients, sessions))
    seconds = time.perf_counter() - begun
    kept = 0
    for session in sessions:
        notes = (await clients[0].ask(ShowSession(session=session), SessionDetailAnswer)).detail.notes
        kept += [note.text for note in notes] == [f"note {k}" for k in range(n_notes)]
    for client in clients:
        await client.close()
    return {
        "notes a second": n_clients * n_notes / seconds,
        "median wait s": statistics.median(waits),
        "95 % wait s": percentile(waits, 0.95),
        "connecting s": connected,
        "sessions whole": kept,
    }


async def beside_busy(places: AppFolders, command: list[str]) -> dict[str, float]:
    """One client that writes a note and lists sessions every second, beside fifty that never stop; half write notes."""
    quiet = await HostClient.connect(places, timeout_s=120, command=command)
    busy = await asyncio.gather(*(HostClient.connect(places, timeout_s=120) for _ in range(BUSY)))
    done = 0

    async def press(k: int, client: HostClient) -> None:
        nonlocal done
        session = (
            await client.ask(CreateSession(name=f"busy {k}", model="toy", task="ioi"), SessionAnswer)
        ).session.session_id
        for turn in range(10**9):
            if k % 2:
                await client.ask(WriteNote(session=session, text=f"busy {turn}"), NoteAnswer)
            else:
                await client.ask(ChangeTags(session=session, add=(f"t{turn % 20}",), remove=()), SessionAnswer)
                await client.ask(ChangeTags(session=session, remove=(f"t{turn % 20}",)), SessionAnswer)
            done += 1

    session = (await quiet.ask(CreateSession(name="quiet", model="toy", task="ioi"), SessionAnswer)).session.session_id
    tasks = [asyncio.create_task(press(k, each)) for k, each in enumerate(busy)]
    await asyncio.sleep(1)
    note, listing, begun, before = [], [], time.perf_counter(), done
    for k in range(QUIET_ROUNDS):
        since = time.perf_counter()
        await quiet.ask(WriteNote(session=session, text=f"quiet {k}"), NoteAnswer)
        note.append(time.perf_counter() - since)
        since = time.perf_counter()
        await quiet.ask(ListSessions(), SessionsAnswer)
        listing.append(time.perf_counter() - since)
        await asyncio.sleep(1)
    rate = (done - before) / (time.perf_counter() - begun)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in (quiet, *busy):
        await client.close()
    return {
        "busy changes a second": rate,
        "quiet note median s": statistics.median(note),
        "quiet note 95 % s": percentile(note, 0.95),
        "quiet note most s": max(note),
        "quiet list median s": statistics.median(listing),
        "quiet list 95 % s": percentile(listing, 0.95),
    }


async def measure(options: argparse.Namespace) -> None:
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for name, command in ways(options.against).items():
            home = Path(tempfile.mkdtemp(prefix="hc-"))
            places = find_folders({"HEADCODE_HOME": str(home)})
            try:
                result = await write_all(places, command, options.clients, options.notes)
                result |= await beside_busy(places, command)
            finally:
                await stop_host(places)
                shutil.rmtree(home)
            found.setdefault(name, []).append(result)
            print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in result.items()), flush=True)
    middle: dict[str, Any] = {
        name: {key: statistics.median(each[key] for each in results) for key in results[0]}
        for name, results in found.items()
    }
    for name, result in middle.items():
        if name != "together":
            ratios = {key: middle["together"][key] / value for key, value in result.items() if value}
            print(f"together / {name}: " + ", ".join(f"{key} {value:.3g}" for key, value in ratios.items()))
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--notes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, whose host is measured, too")
    asyncio.run(measure(parser.parse_args()))
