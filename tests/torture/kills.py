"""Random kill -9 over screens, clients, host and worker, while clients write: what was acknowledged must stay.

    python -m tests.torture.kills --kills 300 --seed 1

Four clients write (sessions, examples, runs) into one store and keep a journal of every answer they got and every
entry they were told. Screens run beside them, each in a terminal of its own. Somebody is killed again and again, at
random moments. In the end the store is compared with the journals. Exit 0: nothing lost, nothing doubled.

Host and store are the real ones; the worker follows a script, so that there is something to write all the time
(--real-worker: the real engine on the bundled model, slower).
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from sessions.client.connection import HostClient, stop_host
from sessions.errors import HostError
from sessions.protocol import GetStatus, StatusAnswer
from sessions.transport.host_address import find_holder

from .clients import Client
from .commands import host_command, places_of
from .terminals import Screen, show_screen
from .verdict import compare, sound

MEAN_PAUSE_S = 0.5
"""Seconds between kills: a host needs about as long to start, so some die while they do."""


class Torture:
    """Kills one of the processes again and again, and replaces it."""

    def __init__(self, home: Path, *, kills: int, seed: int, clients: int, screens: int, real_worker: bool) -> None:
        self.home, self.places, self.kills = home, places_of(home), kills
        self.chance = random.Random(seed)
        self.real_worker = real_worker
        self.clients: list[subprocess.Popen[bytes]] = []
        self.screens: list[Screen] = []
        self.n_clients, self.n_screens = clients, screens
        self.killed: Counter[str] = Counter()
        self.faults: list[str] = []
        self.back_s: list[float] = []
        self.drawn = 0

    def run(self) -> dict[str, Any]:
        begun = time.monotonic()
        self.clients = [self._client(number) for number in range(self.n_clients)]
        self.screens = [self._screen() for _ in range(self.n_screens)]
        try:
            while self.killed.total() < self.kills:
                time.sleep(self.chance.expovariate(1 / MEAN_PAUSE_S))
                self._kill_somebody()
        finally:
            for client in self.clients:
                client.kill()
                client.wait()
            for screen in self.screens:
                self.drawn += screen.drawn
                screen.kill()
            self._silence()
        report = compare(self.home, self.n_clients)
        return (
            {"kills": dict(self.killed)}
            | report
            | {
                "faults": self.faults + report["faults"],
                "bytes_drawn": self.drawn,
                "host_back_s": round(statistics.median(self.back_s), 3) if self.back_s else None,
                "host_back_worst_s": round(max(self.back_s), 3) if self.back_s else None,
                "seconds": round(time.monotonic() - begun, 1),
            }
        )

    def _client(self, number: int) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "tests.torture.kills", "--client", str(number), "--home", str(self.home)]
        words += ["--seed", str(self.chance.randrange(2**31)), *(["--real-worker"] if self.real_worker else [])]
        with (self.home / f"client-{number}.err").open("ab") as errors:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=errors)

    def _screen(self) -> Screen:
        words = [sys.executable, "-m", "tests.torture.kills", "--screen", "--home", str(self.home)]
        return Screen(words + (["--real-worker"] if self.real_worker else []))

    def _kill_somebody(self) -> None:
        self._look_after()
        draw = self.chance.random()
        if draw < 0.35:
            pid = find_holder(self.places)
            if pid is not None and self._kill(pid):
                self.killed["host"] += 1
                if self.chance.random() < 0.2:
                    self._gone(pid)
                    self._time_comeback()
        elif draw < 0.6:
            pid = self._worker()
            if pid is not None and self._kill(pid):
                self.killed["worker"] += 1
        elif draw < 0.8 or not self.screens:
            number = self.chance.randrange(len(self.clients))
            self.clients[number].kill()
            self.clients[number].wait()
            self.killed["client"] += 1
            self.clients[number] = self._client(number)
        else:
            number = self.chance.randrange(len(self.screens))
            self.drawn += self.screens[number].drawn
            self.screens[number].kill()
            self.killed["screen"] += 1
            self.screens[number] = self._screen()

    def _look_after(self) -> None:
        """Check that no process has exited by itself."""
        for number, client in enumerate(self.clients):
            if client.poll() is not None:
                self.faults.append(f"client {number} left with {client.returncode}")
                self.clients[number] = self._client(number)
        for number, screen in enumerate(self.screens):
            if screen.gone():
                self.faults.append("a screen left by itself")
                self.screens[number] = self._screen()

    def _worker(self) -> int | None:
        host = find_holder(self.places)
        if host is None:
            return None
        with suppress(OSError, ValueError, IndexError):
            children = Path(f"/proc/{host}/task/{host}/children").read_text().split()
            return int(children[0])
        return None

    def _kill(self, pid: int) -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _gone(self, pid: int) -> None:
        while find_holder(self.places) == pid:
            time.sleep(0.005)

    def _silence(self) -> None:
        """End the last host, and one that a client may be starting."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 3:
            last = find_holder(self.places)
            if last is not None and self._kill(last):
                self._gone(last)
                quiet_since = time.monotonic()
            time.sleep(0.05)

    def _time_comeback(self) -> None:
        """Measure the time until a host answers again: connect, and start it if no other client did."""

        async def come() -> None:
            command = host_command(self.real_worker)
            async with await HostClient.connect(self.places, timeout_s=30, command=command) as client:
                await client.ask(GetStatus(), StatusAnswer)

        begun = time.monotonic()
        with suppress(HostError):
            asyncio.run(come())
            self.back_s.append(time.monotonic() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--screens", type=int, default=2)
    parser.add_argument("--real-worker", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the store and the journals where they are")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--client", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--screen", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client is not None:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(Client(options.home, options.client, options.seed, options.real_worker).live())
        return 0
    if options.screen:
        return show_screen(options.home, options.real_worker)
    home = options.home or Path(tempfile.mkdtemp(prefix="hc-kills-", dir="/tmp"))  # a socket's path is short
    torture = Torture(
        home,
        kills=options.kills,
        seed=options.seed,
        clients=options.clients,
        screens=options.screens,
        real_worker=options.real_worker,
    )
    report = torture.run()
    print(json.dumps(report, indent=2))
    good = sound(report)
    if good and not options.keep:
        asyncio.run(stop_host(places_of(home)))
        shutil.rmtree(home)
    else:
        print(f"store and journals: {home}", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
