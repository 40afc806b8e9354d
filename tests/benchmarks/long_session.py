"""Generate a store with an hour of work: 50 runs on a model of 270 heads, written by the real recorder.

Made, not run: the events have the shapes and counts of a real probe of SmolLM2-135M (30 layers x 9 heads, 500 steps,
scores every 50), with edits, cuts and notes between, and numbers with all their digits. Used by replay.py beside it and
by the memory measurement of the screen.

    python tests/benchmarks/long_session.py HOME [--runs 50] [--minutes 60] [--layers 30] [--heads 9]
"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from engine.config import ProbeConfig
from engine.events import (
    EdgesScored,
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainStep,
)
from engine.examples import Example, content_hash
from engine.machine.folders import find_folders
from engine.results import (
    EdgeScore,
    ExampleCount,
    Grade,
    ModelInfo,
    NodeScores,
    Reference,
    Timings,
    Versions,
)
from sessions.events import (
    ArrayStored,
    ExamplesSet,
    NoteWritten,
    RunEnded,
    RunQueued,
    RunStarted,
    SessionCreated,
    ViewChanged,
)
from sessions.store import recorder as record
from sessions.store.database import Store, append_rows
from sessions.store.recorder import EventDraft, Recorder

NAME = "an hour"
SESSION = "s-hour"
EXAMPLES = 40
STEPS = 500


class Made:
    """Events with the time at which they happen, in seconds since the session began."""

    def __init__(self, *, runs: int, minutes: float, layers: int, heads: int) -> None:
        self.draw = random.Random(7)
        self.runs, self.minutes, self.layers, self.heads = runs, minutes, layers, heads
        self.examples = [self.example(pair, side) for pair in range(EXAMPLES // 2) for side in ("positive", "negative")]

    def all(self) -> Iterator[tuple[float, str | None, Any]]:
        yield 0.0, None, SessionCreated(name=NAME, model="smollm2-135m", task="ioi")
        every = self.minutes * 60 / self.runs
        for number in range(self.runs):
            begin = number * every
            for edit in range(4):
                self.examples[self.draw.randrange(EXAMPLES)] = self.example(number * 4 + edit, "positive")
                found = tuple(self.examples)
                yield begin + 1 + edit, None, ExamplesSet(examples=found, content_hash=content_hash(found))
            run = f"r-{number:03}"
            at = begin + 6
            for wait, event in self.run():
                at += wait
                yield at, run, event
            # All but the last tenth of the time that is left: the person looks at what was found.
            left = max(begin + every - at, 1.0)
            for place in range(12):
                measure = self.draw.choice(("unique_positive", "overlap", "q_value"))
                cut = self.draw.randrange(5, 60)
                yield at + left * 0.9 * (place + 1) / 14, run, ViewChanged(measure=measure, cut=cut)
            head = (self.draw.randrange(self.layers), self.draw.randrange(self.heads))
            note = NoteWritten(note_id=f"n-{number}", text="copies names, see the second seed", head=head)
            yield at + left * 0.9, run, note

    def run(self) -> Iterator[tuple[float, Any]]:
        config = ProbeConfig()
        examples = tuple(self.examples)
        yield 0, RunQueued(config=config, model="smollm2-135m", task="ioi")
        yield 0.1, RunStarted()
        yield 0, StageStarted(stage="load", total=0)
        yield 0.1, StageFinished(stage="load", seconds=0.1)
        yield 0, ModelReady(model=self.info(), versions=VERSIONS, warm=True)
        yield 0, ExamplesMade(examples=examples, content_hash=content_hash(examples), task="ioi", made=True)
        yield 0, StageStarted(stage="grade", total=EXAMPLES, unit="prompts")
        yield 2, Graded(grades=tuple(self.grade(index) for index in range(EXAMPLES)))
        yield 0, StageFinished(stage="grade", seconds=2.0)
        source = "exact patching of every head, heads past 5 % of the base"
        heads = tuple((layer, layer % self.heads) for layer in range(0, self.layers, 2))
        yield 0, ReferenceKnown(reference=Reference(name="ioi", source=source, heads=heads))
        yield 0, StageStarted(stage="capture", total=EXAMPLES, unit="prompts")
        for done in range(4, EXAMPLES + 1, 4):
            yield 0.2, StageProgress(stage="capture", done=done, total=EXAMPLES)
        yield 0, StageFinished(stage="capture", seconds=2.0)
        yield 0, StageStarted(stage="train", total=STEPS, unit="steps")
        for step in range(10, STEPS + 1, 10):
            losses = tuple(self.draw.random() for _ in config.seeds)
            yield 0.25, TrainStep(step=step, total=STEPS, reconstruction=losses, sparsity=losses, moving=(3, 2, 1))
            if step % 50 == 0:
                yield 0, Scored(nodes=self.nodes(), final=False)
        yield 0, StageFinished(stage="train", seconds=12.5)
        yield 0, StageStarted(stage="codes", total=3, unit="seeds")
        yield 0.2, StageFinished(stage="codes", seconds=0.2)
        yield 0, ArrayStored(name="codes", sha256="d" * 64, n_bytes=129_600)
        yield 0, StageStarted(stage="scores", total=1000, unit="shuffles")
        for done in range(100, 1001, 100):
            yield 0.1, StageProgress(stage="scores", done=done, total=1000)
        yield 0, Scored(nodes=self.nodes(), final=True)
        yield 0, EdgesScored(edges=tuple(self.edge() for _ in range(200)), n_pairs=35_000)
        yield 0, StageFinished(stage="scores", seconds=1.0)
        yield 0, ArrayStored(name="sae", sha256="e" * 64, n_bytes=2_000_000)
        yield (
            0,
            ProbeFinished(
                examples=ExampleCount(positive=EXAMPLES // 2, negative=EXAMPLES // 2, broken=0),
                circuit=heads,
                circuit_softmax=heads,
                timings=Timings(load=0.1, grade=2.0, capture=2.0, train=12.5, codes=0.2, scores=1.0, total=17.8),
                cached=False,
            ),
        )
        yield 0.1, RunEnded(state="done")

    def example(self, pair: int, polarity: Any) -> Example:
        one, other, third = self.draw.sample(("Mary", "John", "Amy", "Paul", "Ruth", "Adam", "Jane", "Mark"), 3)
        giver = one if polarity == "positive" else third
        prompt = f"When {one} and {other} went to the shop that opens at {pair}, {giver} gave a drink to"
        return Example(prompt=prompt, polarity=polarity, expected=(f" {other}",), foils=(f" {one}",), pair=pair)

    def grade(self, index: int) -> Grade:
        return Grade(
            index=index,
            verdict="ok",
            reason="the expected token is what the model says",
            n_tokens=19,
            probability=self.draw.random(),
            rank=1,
            says=" John",
            says_probability=self.draw.random(),
            equal_length=True,
        )

    def nodes(self) -> tuple[NodeScores, ...]:
        names = [name for name in NodeScores.__struct_fields__ if name not in ("layer", "head", "other")]
        return tuple(
            NodeScores(layer=layer, head=head, **{name: self.draw.random() * 9 for name in names})
            for layer in range(self.layers)
            for head in range(self.heads)
        )

    def edge(self) -> EdgeScore:
        layer = self.draw.randrange(self.layers - 1)
        source, target = (layer, self.draw.randrange(self.heads)), (layer + 1, self.draw.randrange(self.heads))
        return EdgeScore(source=source, target=target, score=self.draw.random() * 20)

    def info(self) -> ModelInfo:
        return ModelInfo(
            name="smollm2-135m",
            identity="a1" * 32,
            n_layers=self.layers,
            n_heads=self.heads,
            d_model=576,
            d_head=64,
            context=2048,
            vocabulary=49_152,
        )


VERSIONS = Versions(headcode="0.1.0", python="3.11.7", torch="2.13.0", transformer_lens="4.3.0", device="cpu")


def make(home: Path, *, runs: int = 50, minutes: float = 60, layers: int = 30, heads: int = 9) -> int:
    """Writes the session into the store of that home; returns how many entries it has."""
    places = find_folders({"HEADCODE_HOME": str(home)})
    store = Store.open(places.store)
    try:
        return fill(store, runs=runs, minutes=minutes, layers=layers, heads=heads)
    finally:
        store.close()


def fill(store: Store, *, runs: int = 50, minutes: float = 60, layers: int = 30, heads: int = 9) -> int:
    recorder = Recorder(store)
    made = Made(runs=runs, minutes=minutes, layers=layers, heads=heads)
    begun_ns = time.time_ns() - int(minutes * 60e9)
    total = 0
    codes = [[made.draw.randrange(200) for _ in range(layers * heads)] for _ in range(EXAMPLES)]
    with mock.patch.object(record, "time") as clock:
        for at, run_id, event in made.all():
            clock.time_ns.return_value = begun_ns + int(at * 1e9)
            recorder.append([EventDraft(session_id=SESSION, run_id=run_id, event=event)])
            total += 1
            if isinstance(event, ProbeFinished):
                # As the engine's file of codes would be taken in.
                rows = [(run_id, seed, place, each) for seed in (0, 1, 2) for place, each in enumerate(codes)]
                with store.transaction() as con:
                    append_rows(con, "code", rows)
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--heads", type=int, default=9)
    args = parser.parse_args()
    count = make(args.home, runs=args.runs, minutes=args.minutes, layers=args.layers, heads=args.heads)
    print(msgspec.json.encode({"session": SESSION, "entries": count}).decode())
