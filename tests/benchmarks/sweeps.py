"""Sweeps on a Ray cluster of this machine: how fast, what a unit costs beyond its run, and what faults leave behind.

    python tests/benchmarks/sweeps.py speed --units 40     # one local worker, one actor, two nodes of one CPU each
    python tests/benchmarks/sweeps.py parts --units 80     # the processor's time of a unit, by process
    python tests/benchmarks/sweeps.py faults --units 40    # a node removed, an actor killed twice, the host killed once
    python tests/benchmarks/sweeps.py slurm --units 40     # a job cancelled, one preempted, a node set down
                                                           # (slurm_on_one_machine.sh up; SLURM_CONF=...)
    python tests/benchmarks/sweeps.py slurm-speed --units 40    # on the same: one job and two
    python tests/benchmarks/sweeps.py screen --units 2000  # the host's memory while a worker that follows a script does
                                                           # them; how fast the screen opens the sweep and a cell

All compare the codes of every unit with those of one local worker. Ratios are of one run of this script; a machine
that others use, too, makes them smaller. Times begin after a quarter of the units, when all engines are warm. A local
worker may use all cores of the machine, an actor has one: what one node does is what two are compared with.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from engine.examples import Example
from engine.machine.folders import find_folders
from engine.sweeps.expansion import expand
from engine.sweeps.plan import SweepPlan
from engine.sweeps.spec import spec_from_words
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import FollowSweep, QuerySql, SqlAnswer, StartSweep, SweepAnswer
from sessions.protocol.sweeps import ExecutorSettings
from sessions.store.database import Store

CODES = """
    SELECT s.unit_key, md5(CAST(list(c.code ORDER BY c.seed, c.example, c.layer, c.head) AS VARCHAR)) AS codes
    FROM sweep_runs AS s JOIN codes AS c USING (run_id) GROUP BY s.unit_key ORDER BY s.unit_key
"""
COUNTS = "SELECT count(*), count(DISTINCT run_id), count(DISTINCT unit_key) FROM sweep_runs WHERE state = 'done'"
STORED = "SELECT count(*) FROM runs WHERE state = 'done'"
TIMES = "SELECT started_us, CAST(timings->>'$.total' AS DOUBLE) FROM run WHERE state = 'done' ORDER BY started_us"
SCRIPTED = Path(__file__).parents[1] / "sessions" / "scripted_host.py"
WARM = 0.25
"""Share of the units before times are taken: all engines have been started then."""


class Inputs:
    """What an expansion reads of this machine: nothing."""

    models = Path("/nonexistent")

    def examples(self, _: str) -> tuple[Example, ...]:
        return ()

    def checkpoints(self, _: str) -> tuple[()]:
        return ()


def plan_of(units: int) -> SweepPlan:
    words = {"task": "ioi", "seeds": f"0..{units - 1}", "device": "cpu"}
    return expand(spec_from_words(words, name="bench"), Inputs())


class Sweep:
    """One sweep in a home of its own."""

    def __init__(self, home: Path, plan: SweepPlan, *, on: str, workers: int | None, **settings: Any) -> None:
        self.places = find_folders({"HEADCODE_HOME": str(home)})
        self._request = StartSweep(plan=plan, on=on, workers=workers, settings=ExecutorSettings(**settings))
        self.client: HostClient
        self.last: SweepAnswer

    async def start(self) -> None:
        self.client = await HostClient.connect(self.places, timeout_s=600)
        self.last = await self.client.ask(self._request, SweepAnswer)

    async def until(self, enough: Callable[[SweepAnswer], bool]) -> SweepAnswer:
        seen = -1
        while True:
            self.last = await self.client.ask(FollowSweep(sweep="bench", seen=seen), SweepAnswer)
            if enough(self.last):
                return self.last
            seen = self.last.progress.news

    async def end(self) -> None:
        await self.until(lambda answer: not answer.progress.active)

    async def rows(self, sql: str) -> list[list[Any]]:
        return list((await self.client.ask(QuerySql(sql=sql, limit=100_000), SqlAnswer)).table.rows)

    async def close(self) -> None:
        await self.client.close()
        await stop_host(self.places)


async def timed(
    home: Path, plan: SweepPlan, *, engines: int = 1, **how: Any
) -> tuple[float, float, float, list[list[Any]]]:
    """Return units a second, milliseconds from one start to the next beyond the run itself, seconds in all, and codes.

    `engines`: how many must have loaded the model before the units are timed, a quarter of them being done at least.
    """
    sweep = Sweep(home, plan, **how)
    asked = time.monotonic()
    await sweep.start()
    warm: set[str] = set()

    def is_warm(answer: SweepAnswer) -> bool:
        progress = answer.progress
        warm.update(each.name for each in progress.workers if each.stage not in ("", "load"))
        enough = progress.done >= WARM * len(plan.units) and len(warm) >= engines
        return enough or progress.done >= len(plan.units) / 2

    await sweep.until(is_warm)
    begun, before = time.monotonic(), sweep.last.progress.done
    await sweep.end()
    now = time.monotonic()
    pace, in_all = (sweep.last.sweep.done - before) / (now - begun), now - asked
    codes = await sweep.rows(CODES)
    await sweep.close()
    store = Store.open(sweep.places.store)
    times = store.rows(TIMES)
    store.close()
    beyond = [(then[0] - now[0]) / 1e3 - 1e3 * now[1] for now, then in itertools.pairwise(times)]
    return pace, statistics.median(beyond[1:]), in_all, codes


def cluster_of(nodes: int) -> Any:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=1)
    return cluster


async def speed(folder: Path, units: int) -> bool:
    plan = plan_of(units)
    cluster = cluster_of(2)
    found = {}
    for name, how in {
        "one local worker": {"on": "local", "workers": 1},
        "one actor": {"on": "ray", "workers": 1, "address": cluster.address},
        "two nodes of one CPU": {"on": "ray", "workers": None, "address": cluster.address, "engines": 2},
    }.items():
        pace, beyond, in_all, codes = found[name] = await timed(folder / name.replace(" ", "-"), plan, **how)
        gap = f", {beyond:.0f} ms a unit beyond its run" if "two" not in name else ""
        print(f"{name}: {pace:.2f} units/s warm, {in_all:.1f} s in all{gap}, codes of {len(codes)} units", flush=True)
    one, two = found["one local worker"], found["two nodes of one CPU"]
    same = one[3] == two[3] == found["one actor"][3] and len(one[3]) == units
    print(f"two nodes against one actor: {two[0] / found['one actor'][0]:.2f} times warm, ", end="")
    print(f"{found['one actor'][2] / two[2]:.2f} with the start, ", end="")
    print(f"against one local worker {two[0] / one[0]:.2f}; codes {'identical' if same else 'DIFFERENT'}")
    cluster.shutdown()
    return same


async def slurm_speed(folder: Path, units: int) -> bool:
    """Print what a unit of a job costs beyond its run, and how long a job takes to begin, on a real Slurm."""
    plan = plan_of(units)
    _, _, _, alone = await timed(folder / "alone", plan, on="local", workers=1)
    pace, beyond, in_all, codes = await timed(folder / "s1", plan, on="slurm", workers=1, slurm={"partition": "low"})
    print(f"one job: {pace:.2f} units/s warm, {beyond:.0f} ms a unit beyond its run, {in_all:.1f} s in all")
    two = await timed(folder / "s2", plan, on="slurm", workers=2, engines=2, slurm={"partition": "low"})
    print(f"two jobs: {two[0]:.2f} units/s warm, {two[2]:.1f} s in all; {two[0] / pace:.2f} times one job")
    print(f"before the first unit begins, and after the last: {in_all - units / pace:.1f} s of one job's")
    same = alone == codes == two[3]
    print(f"codes {'identical' if same else 'DIFFERENT'}")
    return same


PARTS = {
    "host": "sessions.host",
    "driver": "on_ray.driver",
    "engine": "engine.worker",
    "actor": "ray::UnitActor",
    "raylet": "/raylet",
    "gcs": "gcs_server",
    "other Ray": "ray/",
}
"""By what the command line of a process has in it, the first that fits."""


def cpu_seconds(host: int) -> dict[str, tuple[float, float, float]]:
    """Return by part the processor's seconds so far, the resident MB, and the number of processes.

    Only this program's processes, and the host's: another host's or cluster's are not counted.
    """
    roots = [psutil.Process(), psutil.Process(host)]
    found: dict[int, psutil.Process] = {}
    for root in roots:
        found |= {each.pid: each for each in (root, *root.children(recursive=True))}
    sums: dict[str, tuple[float, float, float]] = {}
    for each in found.values():
        with contextlib.suppress(psutil.Error):
            command, times = " ".join(each.cmdline()), each.cpu_times()
            part = next((name for name, mark in PARTS.items() if mark in command), "other")
            seconds, memory, n = sums.get(part, (0.0, 0.0, 0))
            sums[part] = (seconds + times.user + times.system, memory + each.memory_info().rss / 2**20, n + 1)
    return sums


async def parts(folder: Path, units: int) -> bool:
    """Print what a unit costs the processor, by part, which a busy machine does not change."""
    plan = plan_of(units)
    cluster = cluster_of(2)
    for name, how in {
        "one local worker": {"on": "local", "workers": 1},
        "one actor": {"on": "ray", "workers": 1, "address": cluster.address},
        "two nodes of one CPU": {"on": "ray", "workers": None, "address": cluster.address},
    }.items():
        sweep = Sweep(folder / name.replace(" ", "-"), plan, **how)
        begun = time.monotonic()
        await sweep.start()
        pid = sweep.client.welcome.pid
        await sweep.until(lambda answer: answer.progress.done >= 1)
        first = time.monotonic() - begun
        await sweep.until(lambda answer: answer.progress.done >= WARM * units)
        before, done, at = cpu_seconds(pid), sweep.last.progress.done, time.monotonic()
        await sweep.until(lambda answer: answer.progress.done >= 0.95 * units)
        after, now = cpu_seconds(pid), sweep.last.progress.done - done
        wall = time.monotonic() - at
        print(
            f"{name}: {1e3 * wall / now:.0f} ms a unit by the clock, the first after {first:.1f} s; of the processor:"
        )
        for part, (seconds, memory, n) in sorted(after.items()):
            used = seconds - before.get(part, (0.0, 0.0, 0))[0]
            print(f"  {part:<10} {1e3 * used / now:6.1f} ms a unit, {seconds:5.1f} s in all, ", end="")
            print(f"{n:.0f} processes, {memory:.0f} MB")
        await sweep.end()
        await sweep.close()
    cluster.shutdown()
    return True


def actors() -> list[psutil.Process]:
    """Return the processes of actors on this machine."""
    found = [(each, " ".join(each.info["cmdline"] or ())) for each in psutil.process_iter(["cmdline"])]
    return [each for each, command in found if "ray::UnitActor" in command]


async def faults(folder: Path, units: int) -> bool:
    plan = plan_of(units)
    cluster = cluster_of(2)
    sweep = Sweep(folder / "faults", plan, on="ray", workers=None, address=cluster.address)
    await sweep.start()
    for enough in (units // 8, units // 4):
        await sweep.until(lambda answer, enough=enough: answer.sweep.done >= enough and len(actors()) > 0)
        victim = actors()[0]
        print(f"{sweep.last.sweep.done} done: actor {victim.pid} is killed", flush=True)
        victim.kill()
    await sweep.until(lambda answer: answer.sweep.done >= units // 2)
    print(f"{sweep.last.sweep.done} done: a node is removed, another joins", flush=True)
    await asyncio.to_thread(cluster.remove_node, cluster.worker_nodes.copy().pop(), allow_graceful=False)
    cluster.add_node(num_cpus=1)
    await sweep.until(lambda answer: answer.sweep.done >= 3 * units // 4)
    acknowledged = sweep.last.sweep.done
    print(f"{acknowledged} done: the host is killed", flush=True)
    os.kill(sweep.client.welcome.pid, signal.SIGKILL)
    await asyncio.sleep(1)
    await sweep.start()
    kept = sweep.last.sweep.done
    right = await check(sweep, folder, plan, kept=kept, acknowledged=acknowledged)
    cluster.shutdown()
    return right


async def check(sweep: Sweep, folder: Path, plan: SweepPlan, *, kept: int, acknowledged: int) -> bool:
    """Wait for the end; return whether every unit has one run with the codes of one local worker."""
    units = len(plan.units)
    await sweep.end()
    done, runs, keys = (await sweep.rows(COUNTS))[0]
    stored = (await sweep.rows(STORED))[0][0]
    failed = sweep.last.sweep.failed
    codes = await sweep.rows(CODES)
    await sweep.close()
    *_, alone = await timed(folder / "alone", plan, on="local", workers=1)
    lost, doubled = units - keys, stored - keys
    print(f"{kept} of {acknowledged} acknowledged units were there after the host's death")
    print(f"{done} runs of {units} units, {failed} failed, {lost} lost, {doubled} doubled; ", end="")
    print(f"codes {'identical' if codes == alone else 'DIFFERENT'}")
    right = (done, runs, keys, stored, failed) == (units, units, units, units, 0)
    return right and kept >= acknowledged and codes == alone


def call(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


async def slurm(folder: Path, units: int) -> bool:
    plan = plan_of(units)
    sweep = Sweep(folder / "slurm", plan, on="slurm", workers=4, slurm={"partition": "low", "time": "60"})
    await sweep.start()
    await sweep.until(lambda answer: answer.progress.done >= units // 8)
    job = call("squeue", "--noheader", "--array", "--states=R", "--format=%i").split()[0]
    print(f"{sweep.last.sweep.done} done: job {job} is cancelled", flush=True)
    call("scancel", job)
    await sweep.until(lambda answer: answer.progress.done >= units // 4)
    print(f"{sweep.last.sweep.done} done: jobs of higher priority preempt both (PreemptMode=CANCEL)", flush=True)
    call("sbatch", "--partition=high", "--array=0-1", "--output=/dev/null", "--wrap=sleep 3")
    await sweep.until(lambda answer: answer.progress.done >= units // 2)
    print(f"{sweep.last.sweep.done} done: node two is set down", flush=True)
    call("scontrol", "update", "nodename=two", "state=down", "reason=try")
    await sweep.until(lambda answer: answer.progress.done >= 3 * units // 4)
    acknowledged = sweep.last.sweep.done
    print(f"{acknowledged} done: node two is back, the host is killed", flush=True)
    if "down" in call("sinfo", "--noheader", "--nodes=two", "--format=%T"):
        call("scontrol", "update", "nodename=two", "state=resume")
    os.kill(sweep.client.welcome.pid, signal.SIGKILL)
    await asyncio.sleep(1)
    await sweep.start()
    kept = sweep.last.sweep.done
    return await check(sweep, folder, plan, kept=kept, acknowledged=acknowledged)


async def screen(folder: Path, units: int) -> bool:
    """Print the host's memory along a long sweep, and the times of the screen on it."""
    from tui.app.app import HeadcodeApp
    from tui.screens.sweep import SweepScreen
    from tui.screens.sweeps import SweepsScreen

    home = folder / "screen"
    places = find_folders({"HEADCODE_HOME": str(home)})
    plan = expand(spec_from_words({"task": "ioi", "seeds": f"0..{units - 1}", "model": "toy"}, name="bench"), Inputs())
    client = await HostClient.connect(places, command=[sys.executable, "-P", str(SCRIPTED)])
    host = psutil.Process(client.welcome.pid)
    await client.ask(StartSweep(plan=plan, on="local", workers=1), SweepAnswer)
    seen, memory = -1, dict[int, float]()
    while True:
        answer = await client.ask(FollowSweep(sweep="bench", seen=seen), SweepAnswer)
        seen = answer.progress.news
        memory.setdefault(answer.progress.done * 10 // units, host.memory_info().rss / 2**20)
        if not answer.progress.active:
            break
    print("host's memory in MB by tenths of the sweep:", *(f"{memory[tenth]:.0f}" for tenth in sorted(memory)))

    async def connect() -> HostClient:
        return await HostClient.connect(places)

    times: dict[str, list[float]] = {}
    app = HeadcodeApp(connect, model="toy", task="ioi", depth="full")
    async with app.run_test(size=(160, 48)) as pilot:

        async def until(true: Callable[..., object], *given: Any) -> None:
            while not true(*given):  # noqa: ASYNC110  # the screen has no event for it
                await asyncio.sleep(0.005)

        async def timed(what: str, key: str, true: Callable[..., object], *given: Any) -> None:
            begun = time.perf_counter()
            if key:
                await pilot.press(key)
            await until(true, *given)
            times.setdefault(what, []).append(time.perf_counter() - begun)

        await until(lambda: app.state.shown is not None)
        await pilot.pause(2)
        for _ in range(5):
            await timed("list", "W", lambda: isinstance(app.screen, SweepsScreen) and app.screen.list.rows)
            await timed("table", "enter", lambda: isinstance(app.screen, SweepScreen) and app.screen.sweep.table.detail)
            sweep = app.screen.sweep  # type: ignore[attr-defined]
            await timed("values", "", lambda sweep: (cell := sweep.table.at_cursor) and cell.found, sweep)
            await pilot.press("right", "right", "right")
            unit = sweep.table.at_cursor.unit
            await timed("cell", "enter", lambda unit: (run := app.state.shown) and run.run_id == unit.run_id, unit)
            await pilot.pause(1)
            await pilot.press("W")
            await until(lambda: isinstance(app.screen, SweepScreen))
            await pilot.press("escape")
            await until(lambda: not isinstance(app.screen, SweepScreen))
            if isinstance(app.screen, SweepsScreen):
                await pilot.press("escape")
            await pilot.pause(1)
    for what, seconds in times.items():
        print(f"{what}: median {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"host afterwards: {host.memory_info().rss / 2**20:.0f} MB")
    await client.close()
    return True


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "parts", "faults", "slurm", "slurm-speed", "screen"))
    parser.add_argument("--units", type=int, default=40)
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="hcb-"))
    try:
        work = {
            "speed": speed,
            "parts": parts,
            "faults": faults,
            "slurm": slurm,
            "slurm-speed": slurm_speed,
            "screen": screen,
        }[options.what]
        return 0 if asyncio.run(work(folder, options.units)) else 1
    finally:
        for home in folder.iterdir():
            asyncio.run(stop_host(find_folders({"HEADCODE_HOME": str(home)})))
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
