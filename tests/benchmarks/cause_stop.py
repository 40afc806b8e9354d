"""From the wish to stop a measurement of causes to its recorded end.

    python tests/benchmarks/cause_stop.py RUN [--times 10]

Asks for exact patching of every head of a stored run, waits until some heads are told, stops it, and times the answer.
"""

import argparse
import asyncio
import statistics
import time

from engine.config import EffectsConfig
from engine.events import StageProgress
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient
from sessions.events import EffectsEnded
from sessions.protocol import CancelRun, Done, FindRun, MeasureRunEffects, RunAnswer, SessionDetailAnswer, ShowSession


async def once(client: HostClient, reference: str, pause: float) -> tuple[float, str]:
    run = (await client.ask(FindRun(run=reference), RunAnswer)).run
    seq = (await client.ask(ShowSession(session=run.session_id), SessionDetailAnswer)).detail.last_seq
    await client.ask(MeasureRunEffects(run=run.run_id, config=EffectsConfig(method="exact", metric="kl")), Done)
    begun = 0.0
    async for entries in client.follow(run.session_id, after_seq=seq, run=run.run_id):
        for entry in entries:
            if isinstance(entry.event, StageProgress) and not begun:
                await asyncio.sleep(pause)  # anywhere in a pass, not always at its end
                begun = time.perf_counter()
                await client.ask(CancelRun(run=run.run_id), Done)
            if isinstance(entry.event, EffectsEnded):
                return time.perf_counter() - begun, entry.event.state
    raise AssertionError("a log does not end by itself")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    async with await HostClient.connect(find_folders()) as client:
        found = [await once(client, given.run, 0.037 * number) for number in range(given.times)]
    stopped = sorted(seconds for seconds, state in found if state == "stopped")
    print(f"{len(stopped)} of {given.times} stopped before their end")
    if stopped:
        print(f"median {statistics.median(stopped):.3f} s, worst {stopped[-1]:.3f} s")


if __name__ == "__main__":
    asyncio.run(main())
