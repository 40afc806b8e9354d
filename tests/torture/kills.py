"""Random kill -9 over screens, clients, host and worker, while clients write: what was acknowledged must stay.

    python tests/torture/kills.py --kills 300 --seed 1

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
import pty
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.config import ProbeConfig, SAEConfig
from engine.errors import HeadcodeError
from engine.examples import Example
from engine.places import Places, find_places
from sessions.client import HostClient, stop_host
from sessions.errors import HostError, Refusal
from sessions.log import ExamplesSet, LogEntry, RunEnded, RunQueued
from sessions.runtime import holder
from sessions.wire import CancelRun, CreateSession, Done, GetStatus, QueueRun, Run, Session, SetExamples, Status

HERE = Path(__file__).resolve()
SCRIPTED_HOST = HERE.parents[1] / "sessions" / "scripted_host.py"
MODELS = ("toy", "toy", "many:200", "large:12", "killed", "segfault", "wait")
PACE_S = 0.02
MEAN_PAUSE_S = 0.5
"""Between kills: a host needs about as long to start as this, so some die while they do."""


def places_of(home: Path) -> Places:
    return find_places({"HEADCODE_HOME": str(home)})


def host_command(real_worker: bool) -> list[str] | None:
    return None if real_worker else [sys.executable, "-P", str(SCRIPTED_HOST)]


def sum_of(entry: LogEntry) -> int:
    return zlib.crc32(msgspec.json.encode(entry))


# ---- a client that writes, and journals what it was answered


class Journal:
    """One line for each thing a client knows for certain; a line is in the kernel's hands when `note` returns."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, *words: object) -> None:
        os.write(self._fd, (json.dumps(words) + "\n").encode())


def read_journal(path: Path) -> list[list[Any]]:
    if not path.exists():
        return []
    whole, _, _torn = path.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.split("\n") if line]


class Client:
    def __init__(self, home: Path, number: int, seed: int, real_worker: bool) -> None:
        self.places, self.number = places_of(home), number
        self.chance = random.Random(seed)
        self.command = host_command(real_worker)
        self.models = ("toy",) if real_worker else MODELS
        path = home / f"journal-{number}"
        before = read_journal(path)
        self.life = sum(line[0] == "born" for line in before)
        self.runs: list[str] = []
        self.sessions = [line[2] for line in before if line[0] == "made"]
        self.told: Counter[str] = Counter()
        if self.chance.random() < 0.5:  # else it wants to hear everything once more
            for line in before:
                if line[0] == "told":
                    self.told[line[1]] = max(self.told[line[1]], line[2])
        self.journal = Journal(path)
        self.journal.note("born", self.life)
        self.count = 0

    def token(self) -> str:
        self.count += 1
        return f"token {self.number}.{self.life}.{self.count}"

    async def live(self) -> None:
        while True:
            try:
                async with await HostClient.connect(self.places, timeout_s=30, command=self.command) as client:
                    await self._work(client)
            except Refusal as refusal:
                if refusal.failure.family == "store":
                    self.journal.note("store", refusal.message)
            except HostError:
                pass  # killed under us, or somebody else is starting one: what this is all about
            except HeadcodeError as error:
                self.journal.note("store", f"{type(error).__name__}: {error.message}")
            await asyncio.sleep(PACE_S)

    async def _work(self, client: HostClient) -> None:
        if not self.sessions:
            token = self.token()
            made = await client.ask(CreateSession(name=token, model="toy", task="ioi", pairs=2), Session)
            self.journal.note("made", token, made.session.session_id)
            self.sessions.append(made.session.session_id)
        # Its own, and the first one's: several follow the same session.
        followed = {self.chance.choice(self.sessions), self.sessions[0]}
        listening = [asyncio.create_task(self._listen(client, session)) for session in followed]
        try:
            while True:
                await self._write(client)
                for task in listening:
                    if task.done():
                        await task
                await asyncio.sleep(self.chance.random() * PACE_S)
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _write(self, client: HostClient) -> None:
        session, token = self.chance.choice(self.sessions), self.token()
        draw = self.chance.random()
        if draw < 0.03:
            made = await client.ask(CreateSession(name=token, model="toy", task="ioi", pairs=2), Session)
            self.journal.note("made", token, made.session.session_id)
            self.sessions.append(made.session.session_id)
        elif draw < 0.08 and self.runs:
            run_id = self.chance.choice(self.runs)
            await client.ask(CancelRun(run=run_id, force=self.chance.random() < 0.3), Done)
        elif draw < 0.25:
            waiting = (await client.ask(GetStatus(), Status)).status.queued
            if waiting < 8:
                config = ProbeConfig(seeds=(0,), sae=SAEConfig(steps=40), shuffles=0)
                asked = QueueRun(session=session, model=self.chance.choice(self.models), config=config)
                run = (await client.ask(asked, Run)).run
                self.journal.note("queued", run.session_id, run.run_id)
                self.runs = [*self.runs[-5:], run.run_id]
        else:
            sides = ("positive", "negative")
            examples = tuple(Example(prompt=f"{token} {side} end", polarity=side) for side in sides)
            await client.ask(SetExamples(session=session, examples=examples), Session)
            self.journal.note("set", session, token)

    async def _listen(self, client: HostClient, session: str) -> None:
        async with aclosing(client.follow(session, after_seq=self.told[session])) as batches:
            async for batch in batches:
                for entry in batch:
                    if entry.seq != self.told[session] + 1:
                        self.journal.note("gap", session, self.told[session], entry.seq)
                    self.told[session] = entry.seq
                    self.journal.note("told", session, entry.seq, sum_of(entry))


# ---- a screen, as a person has it


def show_screen(home: Path, real_worker: bool) -> int:
    """The workbench on this terminal; where no host runs it starts the same one as the clients do."""
    os.environ["HEADCODE_HOME"] = str(home)
    if not real_worker:
        from sessions import launch

        launch.HOST = (sys.executable, "-P", str(SCRIPTED_HOST))
    from tui.app import run_workbench

    return run_workbench(session=None, model="toy", task="ioi", colours="256")


class Screen:
    """A process on a pseudo-terminal that somebody reads."""

    def __init__(self, words: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(words[0], words)
        self.drawn = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while chunk := os.read(self._fd, 65_536):
                self.drawn += len(chunk)

    def gone(self) -> bool:
        pid, _ = os.waitpid(self.pid, os.WNOHANG)
        return pid != 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


# ---- whoever kills


class Torture:
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
        report = self._compare()
        return report | {"seconds": round(time.monotonic() - begun, 1)}

    def _client(self, number: int) -> "subprocess.Popen[bytes]":
        words = [sys.executable, str(HERE), "--client", str(number), "--home", str(self.home)]
        words += ["--seed", str(self.chance.randrange(2**31)), *(["--real-worker"] if self.real_worker else [])]
        with (self.home / f"client-{number}.err").open("ab") as errors:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=errors)

    def _screen(self) -> Screen:
        words = [sys.executable, str(HERE), "--screen", "--home", str(self.home)]
        return Screen(words + (["--real-worker"] if self.real_worker else []))

    def _kill_somebody(self) -> None:
        self._look_after()
        draw = self.chance.random()
        if draw < 0.35:
            pid = holder(self.places)
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
        """Nobody may have left by himself."""
        for number, client in enumerate(self.clients):
            if client.poll() is not None:
                self.faults.append(f"client {number} left with {client.returncode}")
                self.clients[number] = self._client(number)
        for number, screen in enumerate(self.screens):
            if screen.gone():
                self.faults.append("a screen left by itself")
                self.screens[number] = self._screen()

    def _worker(self) -> int | None:
        host = holder(self.places)
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
        while holder(self.places) == pid:
            time.sleep(0.005)

    def _silence(self) -> None:
        """Ends the last host, and the one that a client may just have been starting."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 3:
            last = holder(self.places)
            if last is not None and self._kill(last):
                self._gone(last)
                quiet_since = time.monotonic()
            time.sleep(0.05)

    def _time_comeback(self) -> None:
        """How long until a host answers again: connecting, and starting it where nobody else did."""

        async def come() -> None:
            command = host_command(self.real_worker)
            async with await HostClient.connect(self.places, timeout_s=30, command=command) as client:
                await client.ask(GetStatus(), Status)

        begun = time.monotonic()
        with suppress(HostError):
            asyncio.run(come())
            self.back_s.append(time.monotonic() - begun)

    # ---- what the store has to say

    def _compare(self) -> dict[str, Any]:
        from sessions.project import event_decoder
        from sessions.record import Recorder, rebuild
        from sessions.runs import interrupt_open_runs
        from sessions.schema import PROJECTIONS
        from sessions.store import Store

        begun = time.monotonic()
        store = Store.open(self.places.store)
        opened_s = time.monotonic() - begun
        interrupt_open_runs(Recorder(store))
        stored: dict[tuple[str, int], int] = {}
        tokens: Counter[tuple[str, str]] = Counter()
        queued: Counter[tuple[str, str]] = Counter()
        ended: Counter[str] = Counter()
        lost, doubled, other = 0, 0, 0
        sql = "SELECT session_id, seq, at_us, run_id, payload FROM event ORDER BY session_id, seq"
        expected_seq: Counter[str] = Counter()
        for session, seq, at_us, run, payload in store.rows(sql):
            event = event_decoder.decode(payload)
            entry = LogEntry(session_id=session, seq=seq, at_us=at_us, run_id=run, event=event)
            stored[session, seq] = sum_of(entry)
            expected_seq[session] += 1
            if seq != expected_seq[session]:
                self.faults.append(f"{session} has no entry {expected_seq[session]}")
            match event:
                case ExamplesSet() if event.examples and event.examples[0].prompt.startswith("token "):
                    tokens[session, event.examples[0].prompt.rsplit(" ", 2)[0]] += 1
                case RunQueued():
                    queued[session, run or ""] += 1
                case RunEnded():
                    ended[run or ""] += 1
        names = {str(name) for (name,) in store.rows("SELECT name FROM session")}
        acknowledged = Counter[str]()
        for number in range(self.n_clients):
            for line in read_journal(self.home / f"journal-{number}"):
                acknowledged[line[0]] += 1
                match line:
                    case ["made", token, _]:
                        lost += token not in names
                    case ["set", session, token]:
                        lost += tokens[session, token] == 0
                    case ["queued", session, run]:
                        lost += queued[session, run] == 0
                    case ["told", session, seq, crc]:
                        lost += (session, seq) not in stored
                        other += stored.get((session, seq), crc) != crc
                    case ["gap", session, before, after]:
                        self.faults.append(f"{session}: told {after} after {before}")
                    case ["store", words]:
                        self.faults.append(f"client {number}: {words}")
        doubled += sum(n > 1 for n in tokens.values()) + sum(n > 1 for n in queued.values())
        doubled += sum(n > 1 for n in ended.values())
        unended = sum(ended[run] == 0 for _, run in queued)
        tables = {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in PROJECTIONS}  # noqa: S608
        rebuild(store)
        differ = [name for name in PROJECTIONS if store.rows(f"SELECT * FROM {name} ORDER BY ALL") != tables[name]]  # noqa: S608
        size = store.size()
        store.close()
        crashed = [path.name for path in self.home.glob("client-*.err") if path.stat().st_size]
        self.faults += [f"{name} is not empty" for name in crashed]
        return {
            "kills": dict(self.killed),
            "acknowledged_writes": acknowledged["made"] + acknowledged["set"] + acknowledged["queued"],
            "told_entries": acknowledged["told"],
            "stored_entries": len(stored),
            "runs": len(queued),
            "lost": lost,
            "doubled": doubled,
            "told_otherwise": other,
            "runs_without_end": unended,
            "tables_unlike_the_log": differ,
            "faults": self.faults,
            "bytes_drawn": self.drawn,
            "host_back_s": round(statistics.median(self.back_s), 3) if self.back_s else None,
            "host_back_worst_s": round(max(self.back_s), 3) if self.back_s else None,
            "last_open_s": round(opened_s, 3),
            "store_bytes": size,
        }


def sound(report: dict[str, Any]) -> bool:
    """Whether nothing was lost, doubled or changed, and nobody broke down."""
    bad = ("lost", "doubled", "told_otherwise", "runs_without_end", "tables_unlike_the_log", "faults")
    return not any(report[name] for name in bad)


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
