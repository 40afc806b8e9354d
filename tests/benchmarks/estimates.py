"""Compare the estimated time of runs, before and during them, with the actual time.

Runs of several kinds on a real host and a real engine, each told by those before it; the first of a kind, told by other
kinds, stands by itself. Says as much about how evenly the machine is used as about Headcode.

    python tests/benchmarks/estimates.py [--models FOLDER] [--model toy --model smollm2-135m] [--kind 'as it is']
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

from engine.config import EffectsConfig, ProbeConfig
from engine.machine.folders import find_folders
from engine.planning.presets import find_preset
from engine.planning.run_options import RunOptions
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import (
    CreateSession,
    GetPreflight,
    PreflightAnswer,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    TaskExamples,
)
from tui.state.time_left import run_left
from tui.state.workbench_state import WorkbenchState

_LOOK_S = 0.1
"""Between two looks at what the screen would say."""
_WORTH_S = 1.0
"""Estimates of less time left are not evaluated."""
KINDS: dict[str, tuple[ProbeConfig, int]] = {
    "as it is": (ProbeConfig(), 10),
    "with causes": (ProbeConfig(cause=EffectsConfig(method="combined")), 10),
    "50 pairs": (ProbeConfig(), 50),
    "thorough": (find_preset("thorough").config, 10),
    "published": (find_preset("published").config, 10),
}


async def told_and_took(client: HostClient, session: str, model: str, kind: str, seed: int) -> dict[str, Any]:
    """One run: what was said before and during, and what it took."""
    config, pairs = KINDS[kind]
    options = RunOptions(config=config, model=model)
    asked = GetPreflight(options=options, task="ioi", pairs=pairs)
    before = (await client.ask(asked, PreflightAnswer)).preflight.duration
    assert before is not None
    made = TaskExamples(task="ioi", pairs=pairs, task_seed=seed)
    run = (await client.ask(QueueRun(session=session, config=config, model=model, made=made), RunAnswer)).run
    state = WorkbenchState(model=model, task="ioi")
    message: list[tuple[float, float | None]] = []

    async def fold() -> None:
        async with aclosing(client.follow(session)) as batches:
            async for batch in batches:
                state.fold(batch)
                if any(each.run_id == run.run_id and not each.active for each in state.runs):
                    return

    folding = asyncio.create_task(fold())
    while not folding.done():
        mine = next((each for each in state.runs if each.run_id == run.run_id), None)
        if mine is not None and mine.state == "running":
            message.append((time.time(), run_left(mine, state.runs, int(time.time() * 1e6))))
        await asyncio.wait([folding], timeout=_LOOK_S)
    await folding
    mine = next(each for each in state.runs if each.run_id == run.run_id)
    assert mine.state == "done", mine.failure
    assert mine.started_us is not None
    assert mine.ended_us is not None
    ended = mine.ended_us / 1e6
    left = [(ended - at, output) for at, output in message if ended - at > _WORTH_S]
    known = [(true, output) for true, output in left if output is not None]
    rises = [after - before for (_, before), (_, after) in itertools.pairwise(known)]
    took = (mine.ended_us - mine.started_us) / 1e6
    return {
        "model": model,
        "kind": kind,
        "told": before.seconds,
        "low": before.low,
        "high": before.high,
        "took": took,
        "basis": before.basis,
        "left": [true / output for true, output in known if output > 0],
        "unsaid": 1 - len(known) / len(left) if left else None,
        "rise": max((each / took for each in rises), default=0.0),
        "load": os.getloadavg()[0],
    }


async def measure(home: Path, models: list[str], kinds: list[str], rounds: int) -> list[dict[str, Any]]:
    places = find_folders({"HEADCODE_HOME": str(home)})
    found = []
    try:
        async with await HostClient.connect(places) as client:
            for model in models:
                session = (await client.ask(CreateSession(name=model, model=model), SessionAnswer)).session.session_id
                plan = [kind for kind in kinds for _ in range(rounds)]
                random.Random(0).shuffle(plan)
                for seed, kind in enumerate(plan):
                    row = await told_and_took(client, session, model, kind, seed)
                    found.append(row)
                    print(
                        f"{model:14} {kind:12} told {row['told']:6.1f} ({row['low']:.1f} to {row['high']:.1f}) "
                        f"took {row['took']:6.1f} s, load {row['load']:.1f}",
                        file=sys.stderr,
                    )
    finally:
        await stop_host(places)
    return found


def report(found: list[dict[str, Any]]) -> None:
    for model, kind in dict.fromkeys((row["model"], row["kind"]) for row in found):
        rows = [row for row in found if (row["model"], row["kind"]) == (model, kind)]
        later = [row["took"] / row["told"] for row in rows[1:]]
        left = sorted(ratio for row in rows[1:] for ratio in row["left"])
        words = [f"{model}, {kind}: took {statistics.median(row['took'] for row in rows):.1f} s"]
        words.append(f"the first {rows[0]['took'] / rows[0]['told']:.2f} of what was told")
        if later:
            within = sum(2 / 3 <= each <= 1.5 for each in later)
            words.append(f"later ones {min(later):.2f} to {max(later):.2f}, median {statistics.median(later):.2f}")
            words.append(f"{within} of {len(later)} within 1.5")
            words.append(f"{sum(row['low'] <= row['took'] <= row['high'] for row in rows[1:])} within the span")
        if left:
            ends = [left[int(share * (len(left) - 1))] for share in (0.05, 0.5, 0.95)]
            words.append("left, true to told: " + " / ".join(f"{each:.2f}" for each in ends) + " (5, 50, 95 %)")
            words.append(f"largest step up {max(row['rise'] for row in rows[1:]):.0%} of the run")
        print("; ".join(words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=find_folders().models, help="folder of fetched models")
    parser.add_argument("--model", action="append")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--keep", type=Path, help="a HEADCODE_HOME to use, which stays")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    home = args.keep or Path(tempfile.mkdtemp(prefix="hc"))
    try:
        if args.models.is_dir() and not (home / "cache").exists():
            (home / "cache").mkdir(parents=True)
            (home / "cache" / "models").symlink_to(args.models.resolve())
        found = asyncio.run(measure(home, args.model or ["toy"], args.kind or list(KINDS), args.rounds))
        if args.json:
            print(json.dumps({"schema": "headcode.bench-estimates/1", "rows": found}))
        else:
            report(found)
    finally:
        if args.keep is None:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
