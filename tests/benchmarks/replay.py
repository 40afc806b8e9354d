"""How quickly a replay opens, jumps and steps in an hour's session of 50 runs on 270 heads, beside the aims.

Makes the session first (a minute), unless --home names one. Real host, real socket, real state; no screen.

    python tests/benchmarks/replay.py [--home HOME]
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import long_session

from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import LogPiece, ReadLog, ReadTimeline, TimelineAnswer
from tui.replay.link import ReplayReader
from tui.replay.player import Player
from tui.state.workbench_state import WorkbenchState


def row(what: str, found: list[float], aim: str) -> None:
    middle, late = statistics.median(found), sorted(found)[int(0.95 * (len(found) - 1))]
    print(f"{what:56} {middle * 1e3:8.0f} ms {late * 1e3:8.0f} ms {max(found) * 1e3:8.0f} ms {aim:>10}")


def busy(host: int) -> tuple[float, float]:
    """Seconds of computing so far, of this process and of the host."""
    fields = Path(f"/proc/{host}/stat").read_text().rpartition(")")[2].split()
    return time.process_time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def timed(player: Player, wish: object, *arguments: object) -> float:
    begun = time.perf_counter()
    wish(*arguments)  # type: ignore[operator]
    await player.arrived()
    assert player.failure is None, player.failure
    return time.perf_counter() - begun


async def measure(home: Path) -> None:
    places = find_folders({"HEADCODE_HOME": str(home)})
    client = await HostClient.connect(places)
    answers = []
    for request, want in (
        (ReadTimeline(session=long_session.SESSION), TimelineAnswer),
        (ReadLog(session=long_session.SESSION), LogPiece),
        (ReadLog(session=long_session.SESSION, condensed=True, most_bytes=32 << 20), LogPiece),
    ):
        begun = time.perf_counter()
        await client.ask(request, want)
        answers.append(time.perf_counter() - begun)
    last = (await client.ask(ReadTimeline(session=long_session.SESSION), TimelineAnswer)).times.last_seq
    await client.close()
    print(f"{'':56} {'median':>11} {'95th':>11} {'worst':>11} {'aim':>10}")
    row("host: time line", answers[:1], "")
    row("host: a page", answers[1:2], "")
    row("host: the whole log, condensed", answers[2:], "")

    reader = ReplayReader(lambda: HostClient.connect(places), long_session.SESSION)
    player = Player(WorkbenchState(model="", task=""), reader)
    begun = time.perf_counter()
    await player.open()
    row("open, until the first state shows", [time.perf_counter() - begun], "")
    playing = asyncio.create_task(player.play())
    row("first jump, to the end, states not made yet", [await timed(player, player.seek, last)], "")
    draw = random.Random(1)
    before = busy(client.welcome.pid)
    jumps = [await timed(player, player.seek, draw.randrange(1, last)) for _ in range(100)]
    row("jump anywhere", jumps, "200 ms")
    here, there = (after - before for before, after in zip(before, busy(client.welcome.pid), strict=True))
    words = "  of it computing, whatever else the machine does"
    print(f"{words:56} {here * 10:5.0f} ms here, {there * 10:.0f} ms in the host")
    moments = [draw.uniform(player.first, player.last) for _ in range(50)]
    row("jump to a moment (mouse)", [await timed(player, player.seek_moment, at) for at in moments], "200 ms")
    player.seek(1)
    await player.arrived()
    row("next marker", [await timed(player, player.jump, 1) for _ in range(200)], "200 ms")
    row("marker before", [await timed(player, player.jump, -1) for _ in range(100)], "200 ms")
    player.seek(last // 2)
    await player.arrived()
    row("step back", [await timed(player, player.step, -1) for _ in range(150)], "")
    row("step on", [await timed(player, player.step, 1) for _ in range(150)], "")
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    await player.close()
    await reader.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path)
    args = parser.parse_args()
    home = args.home or Path(tempfile.mkdtemp(prefix="hc"))
    try:
        if args.home is None:
            print(f"{long_session.make(home)} entries")
        print(f"load {os.getloadavg()[0]:.1f}")
        asyncio.run(measure(home))
    finally:
        if args.home is None:
            asyncio.run(stop_host(find_folders({"HEADCODE_HOME": str(home)})))
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
