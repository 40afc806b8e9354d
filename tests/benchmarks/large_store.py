"""A store with very many runs: how long it takes to open, to list, to search, and to write into.

    python tests/benchmarks/large_store.py --sessions 1000 --runs 20

The store is made by the recorder itself, a session's runs in one transaction, from events like those of a run on a
model of 30 layers and 9 heads; every run has scores of its own. Numbers are medians, in seconds.
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.config import ProbeConfig
from engine.events import (
    EdgesScored,
    Event,
    ExamplesMade,
    Graded,
    ModelReady,
    Notice,
    ProbeFinished,
    Scored,
    StageFinished,
    StageStarted,
    TrainStep,
)
from engine.examples import Example, content_hash
from engine.machine.folders import find_folders
from engine.results import EdgeScore, ExampleCount, Grade, ModelInfo, NodeScores, Timings, Versions
from sessions.client.connection import HostClient, stop_host
from sessions.events import ExamplesSet, RunEnded, RunQueued, RunStarted, SessionCreated
from sessions.protocol import (
    CreateSession,
    ListSessions,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    SetExamples,
    ShowSession,
)
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder

LAYERS, HEADS = 30, 9
EXAMPLES, SEEDS, REPORTS = 20, 3, 25
NAMES = ("Mary", "John", "Amy", "Paul", "Ruth", "Adam", "Jane", "Mark", "Kate", "Luke")
FIELDS = tuple(name for name in NodeScores.__struct_fields__ if name not in ("layer", "head", "other"))


def scored(chance: random.Random, *, final: bool) -> Scored:
    nodes = tuple(
        NodeScores(layer=layer, head=head, **{name: round(chance.random(), 6) for name in FIELDS})
        for layer in range(LAYERS)
        for head in range(HEADS)
    )
    return Scored(nodes=nodes, final=final)


def run_events(chance: random.Random, examples: tuple[Example, ...]) -> list[Event]:
    """What one run reports."""
    info = ModelInfo(
        name="smollm2-135m",
        identity=f"{chance.getrandbits(256):064x}",
        n_layers=LAYERS,
        n_heads=HEADS,
        d_model=576,
        d_head=64,
        context=2048,
        vocabulary=49152,
    )
    versions = Versions(headcode="0.1.0", python="3.11", torch="2.13", transformer_lens="4.3", device="cpu")
    grades = tuple(
        Grade(index=place, verdict="ok", reason="the model knows it", n_tokens=16, probability=chance.random())
        for place in range(len(examples))
    )
    steps = [
        TrainStep(
            step=20 * (number + 1),
            total=500,
            reconstruction=tuple(chance.random() for _ in range(SEEDS)),
            sparsity=tuple(chance.random() for _ in range(SEEDS)),
            moving=tuple(chance.randrange(270) for _ in range(SEEDS)),
        )
        for number in range(REPORTS)
    ]
    edges = tuple(
        EdgeScore(source=(0, chance.randrange(HEADS)), target=(9, chance.randrange(HEADS)), score=chance.random())
        for _ in range(200)
    )
    return [
        RunQueued(config=ProbeConfig(), model="smollm2-135m", task="ioi"),
        RunStarted(),
        StageStarted(stage="load", total=1),
        ModelReady(model=info, versions=versions, warm=False),
        StageFinished(stage="load", seconds=1.5),
        ExamplesMade(examples=examples, content_hash=content_hash(examples), task="ioi", made=True),
        Graded(grades=grades),
        StageStarted(stage="train", total=500, unit="steps"),
        *steps,
        scored(chance, final=False),
        StageFinished(stage="train", seconds=20.0),
        scored(chance, final=True),
        EdgesScored(edges=edges, n_pairs=40_000),
        ProbeFinished(
            examples=ExampleCount(positive=10, negative=10, broken=0),
            circuit=((0, 1), (2, 3)),
            circuit_softmax=((0, 1),),
            timings=Timings(total=30.0),
            cached=False,
        ),
        RunEnded(state="done"),
    ]


def fill(path: Path, *, sessions: int, runs: int) -> float:
    """Makes the store; seconds it took."""
    begun = time.perf_counter()
    Store.open(path).close()
    store = Store(path, memory="4GB")
    store._config["checkpoint_threshold"] = "512MB"  # DuckDB packs its last 120,000 events anew at each
    recorder = Recorder(store)
    there = store.rows("SELECT count(*) FROM session")[0][0]
    for number in range(there, sessions):
        chance = random.Random(number)
        examples = tuple(
            Example(
                prompt=f"When {chance.choice(NAMES)} and {chance.choice(NAMES)} met on day {number}.{place}, they saw",
                polarity="positive" if place % 2 == 0 else "negative",
                pair=place // 2,
            )
            for place in range(EXAMPLES)
        )
        session = f"s{number:012d}"
        made = SessionCreated(name=f"study {number} of {chance.choice(NAMES)}", model="smollm2-135m", task="ioi")
        drafts = [
            EventDraft(session_id=session, event=made),
            EventDraft(session_id=session, event=ExamplesSet(examples=examples, content_hash=content_hash(examples))),
        ]
        for place in range(runs):
            run = f"r{number:06d}{place:06d}"
            events = run_events(chance, examples)
            drafts += [EventDraft(session_id=session, run_id=run, event=event) for event in events]
        recorder.append(drafts)
        if number % 50 == 49:
            print(f"{number + 1} sessions, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    store.close()
    return time.perf_counter() - begun


async def timed(ask: Callable[[], Awaitable[object]], times: int = 9) -> tuple[float, float]:
    """Median and worst of so many."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - begun)
    return round(statistics.median(taken), 4), round(max(taken), 4)


async def measure(home: Path) -> dict[str, Any]:
    """Everything through the host, as a face sees it; open and write also without it."""
    places = find_folders({"HEADCODE_HOME": str(home)})
    found: dict[str, Any] = {}

    async def start() -> None:
        async with await HostClient.connect(places, timeout_s=60) as client:
            await client.ask(ListSessions(limit=1), SessionsAnswer)
        await stop_host(places)

    async def open_store() -> None:
        Store.open(places.store).close()

    found["open and close the store"] = await timed(open_store, 5)
    found["start the host, list, stop it"] = await timed(start, 5)
    async with await HostClient.connect(places, timeout_s=60) as client:
        found["list 50"] = await timed(lambda: client.ask(ListSessions(), SessionsAnswer))
        found["list 1000"] = await timed(lambda: client.ask(ListSessions(limit=1000), SessionsAnswer))
        found["show one"] = await timed(lambda: client.ask(ShowSession(session="s000000000003"), SessionDetailAnswer))
        found["show by name"] = await timed(lambda: client.ask(ShowSession(session="latest"), SessionDetailAnswer))
        found |= await searches(client)
        row = (await client.ask(CreateSession(name="own", model="toy", task="ioi"), SessionAnswer)).session
        numbers = iter(range(1000))

        async def change() -> None:
            words = f"this one is new, number {next(numbers)}"
            examples = tuple(Example(prompt=words + side, polarity=side) for side in ("positive", "negative"))
            await client.ask(SetExamples(session=row.session_id, examples=examples), SessionAnswer)

        found["one acknowledged change"] = await timed(change, 50)
    await stop_host(places)

    store = Store.open(places.store)
    recorder = Recorder(store)
    session = row.session_id

    async def one() -> None:
        recorder.append([EventDraft(session_id=session, event=Notice(message="a line of words"))])

    found["one event, committed"] = await timed(one, 200)
    step = TrainStep(step=1, total=2, reconstruction=(0.5,) * SEEDS, sparsity=(0.5,) * SEEDS, moving=(3,) * SEEDS)
    run = "r000000000000"

    async def burst() -> None:
        for _ in range(5):
            recorder.append([EventDraft(session_id="s000000000000", run_id=run, event=step) for _ in range(2_000)])

    found["burst of 10,000 steps"] = await timed(burst, 3)
    rows = {name: store.rows(f"SELECT count(*) FROM {name}")[0][0] for name in ("event", "run", "node_score", "step")}  # noqa: S608
    store.close()
    return found | {"rows": rows, "file_bytes": places.store.stat().st_size}


async def searches(client: HostClient) -> dict[str, Any]:
    """Searching, where this version can."""
    try:
        from sessions.protocol import SearchResults, SearchSessions
    except ImportError:
        return {}
    found = {}
    for words in ("Mary", "study 77", "day 500.3", "smollm2", "nothing like it"):
        request = SearchSessions(text=words)
        found[f"search {words!r}"] = await timed(lambda request=request: client.ask(request, SearchResults), 5)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--home", type=Path, help="use (and keep) the store in this HEADCODE_HOME")
    options = parser.parse_args()
    home = options.home or Path(tempfile.mkdtemp(prefix="hc-large-"))
    report: dict[str, Any] = {}
    places = find_folders({"HEADCODE_HOME": str(home)})
    if not places.store.exists():
        report["filled in"] = round(fill(places.store, sessions=options.sessions, runs=options.runs), 1)
    report |= asyncio.run(measure(home))
    print(json.dumps(report, indent=2))
    if options.home is None:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
