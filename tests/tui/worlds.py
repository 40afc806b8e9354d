"""Sessions for pictures, by name: the answers of a scene's host."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.config import DEFAULTS, EffectsConfig, ProbeConfig, SAEConfig
from engine.events import CardWritten, EdgesScored, StageFinished, StageStarted
from engine.machine.folders import find_folders
from engine.results import Card, CardBaseline, CardNode, CircuitStability, EdgeScore, NodeEffect
from sessions.comparison.comparison import ComparisonSide
from sessions.errors import StoreTooNew
from sessions.events import CircuitSaved, EffectsEnded, EffectsRequested, NoteWritten, RunQueued
from sessions.protocol import ExampleSet, GetExamples, ListSessions, SessionDetailAnswer, SessionsAnswer, ShowSession
from sessions.rows import ComparisonChoice, NoteRow, SessionDetail, SessionRow
from tui.settings.settings import Settings, load

from ..run_parts import effects_measured

CARD = Card(
    verdict="weak",
    reasons=("3 of the circuit's 5 heads stand above chance", "other seeds give other circuits (Jaccard .60)"),
    advice=("use more seeds (--seeds 8)", "write at least 10 of each side"),
    above_chance=((2, 3), (3, 6), (5, 7)),
    expected_false=0.25,
    heads=tuple(
        CardNode(layer=layer, head=head, q_value=0.04, seeds=1.0, bootstraps=0.87, effect=0.12)
        for layer, head in ((2, 3), (3, 6), (5, 7))
    ),
    stability=CircuitStability(seeds=0.6, bootstraps=0.7, n_bootstraps=100, heads=(0.87, 0.9, 0.5)),
    truth="ioi, measured",
    codes_auc=0.95,
    baselines=(CardBaseline(measure="baseline_mean_difference", shared=0.4, auc=0.9),),
    movers=0.8,
)
_LOG = """2026-11-21 10:53:41,386 10849 INFO headcode.host: the store is open, schema 2
2026-11-21 10:53:42,020 10849 INFO headcode.worker: started, process 10861
2026-11-21 10:53:46,911 10849 INFO headcode.runs: run 1 of first light begins
2026-11-21 10:53:49,120 10849 WARNING headcode.runs: 1 of 20 examples is broken
2026-11-21 10:53:52,402 10849 ERROR headcode.worker: the worker ended by itself, exit code -9
Traceback (most recent call last):
  File "engine/worker.py", line 212, in serve
    report = probe(order, monitor)
MemoryError: 12.0 GB were asked for, 4.1 GB of 16.0 GB are free
2026-11-21 10:53:52,611 10849 INFO headcode.worker: started, process 10922
"""


def whole(recorded: Any, **more: Any) -> list[Any]:
    """A whole run with edges between its better heads and a card."""
    events = recorded.events(**more)
    draw = random.Random(3)
    heads = [(layer, draw.randrange(8)) for layer in range(6) for _ in range(2)]
    pairs = [(a, b) for a in heads for b in heads if a[0] < b[0]][:30]
    edges = [EdgeScore(source=a, target=b, score=9.0 - place / 5) for place, (a, b) in enumerate(pairs)]
    return [*events[:-2], EdgesScored(edges=tuple(edges), n_pairs=960), CardWritten(card=CARD), *events[-2:]]


def _begun(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*recorded.events(until="load"))
    return host


def _training(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    return host


def _queued(recorded: Any) -> Any:
    host = _training(recorded)
    host.add(RunQueued(config=ProbeConfig(seeds=(5,)), model="toy", task="ioi"))
    return host


def _trouble(recorded: Any) -> Any:
    host = recorded.host()
    words = "The store /home/ada/sessions.duckdb was written by Headcode 0.9, which is later than this one."
    host.refuse_connect = StoreTooNew(words, hint="Update Headcode.")
    host.entries.clear()
    return host


def _done(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*whole(recorded))
    return host


def _two(recorded: Any) -> Any:
    host = _done(recorded)
    host.add(*whole(recorded, config=ProbeConfig(sae=SAEConfig(n_codes=50, sparsity=0.02))))
    return host


def _noted(recorded: Any) -> Any:
    host = _done(recorded)
    host.add(NoteWritten(note_id="n1", text="writes the other name", head=(5, 7)))
    return host


def _caused(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*recorded.events())
    draw = random.Random(5)
    known = set(recorded.known)
    effects = tuple(
        NodeEffect(
            layer=layer,
            head=head,
            effect=round(draw.uniform(-1.3, -0.3) if (layer, head) in known else draw.uniform(-0.1, 0.1), 3),
        )
        for layer in range(6)
        for head in range(8)
    )
    scored = effects_measured(effects, base=3.1)
    host.add(
        EffectsRequested(config=EffectsConfig(method="exact")),
        StageStarted(stage="cause", total=48, unit="heads"),
        scored,
        StageFinished(stage="cause", seconds=1.37),
        EffectsEnded(state="done"),
    )
    return host


def _other(recorded: Any) -> Any:
    """With another run to subtract: two known heads are silent there, 1.0 and 0.1 are active."""
    host = _done(recorded)
    there = {(2, 3): 0.05, (4, 1): 0.1, (1, 0): 0.6, (0, 1): 0.45}
    nodes = tuple(
        msgspec.structs.replace(node, total_variation=there.get((node.layer, node.head), node.total_variation))
        for node in recorded.nodes(6, 8)
    )
    host.choices = (
        ComparisonChoice(reference="known:r", group="Known circuits", title="toy ioi", detail="5 heads, measured"),
        ComparisonChoice(reference="seed", group="Seeds of this run", title="seed 0", detail="its own codes"),
        ComparisonChoice(
            reference="r-9", group="Runs of other sessions", title="greater/3", detail="toy, 10 + 10, done"
        ),
    )
    side = ComparisonSide(
        reference="r-9",
        title="greater/3",
        kind="run",
        n_layers=6,
        n_heads=8,
        nodes=nodes,
        config=ProbeConfig(),
    )
    host.sides = {"r-9": side}
    return host


def _circuits(recorded: Any) -> Any:
    host = _done(recorded)
    host.add(
        CircuitSaved(name="name movers", heads=((5, 2), (5, 7)), source="2 marked by hand in run 1"),
        CircuitSaved(name="run 1, cut 5", heads=recorded.known, source="run 1 by total variation, 5 heads"),
        CircuitSaved(name="published", heads=((2, 3), (3, 6), (4, 4)), source="ioi.json, theirs"),
    )
    return host


def _sessions(recorded: Any) -> Any:
    """Five of them, last changed on days long gone, so that none was changed today."""
    day = 86_400_000_000
    names = (
        ("first light", "toy", "ioi", 3, ("paper",)),
        ("greater than, both sides of the century", "toy", "greater_than", 1, ()),
        ("own words", "smollm2-135m", None, 12, ("paper", "draft")),
        ("docstrings", "smollm2-135m", "docstring", 2, ()),
        ("nothing yet", "toy", "induction", 0, ()),
    )
    rows = tuple(
        SessionRow(
            session_id=f"s-{number}",
            name=name,
            model=model,
            task=task,
            created_us=1_700_000_000_000_000,
            updated_us=1_720_000_000_000_000 - number * day,
            n_runs=runs,
            n_positive=10 if runs else 0,
            n_negative=10 if runs else 0,
            tags=tags,
        )
        for number, (name, model, task, runs, tags) in enumerate(names, start=1)
    )

    class Many(recorded.host):  # type: ignore[misc]
        def _answer(self, request: Any) -> Any:
            if isinstance(request, ListSessions):
                return SessionsAnswer(sessions=rows)
            row = next((row for row in rows if row.session_id == getattr(request, "session", "")), None)
            if row is None or row.session_id == "s-1" or not isinstance(request, ShowSession | GetExamples):
                return super()._answer(request)
            if isinstance(request, GetExamples):
                return ExampleSet(session=row, version=1, content_hash="", examples=recorded.examples(10))
            runs = tuple(
                msgspec.structs.replace(
                    self._run_row(DEFAULTS), number=number, state="done", queued_us=row.updated_us,
                    name="the good one" if number == row.n_runs else "", n_positive=10, n_negative=10,
                )
                for number in range(row.n_runs, 0, -1)
            )  # fmt: skip
            note = NoteRow(
                note_id="n", run_id="r", run_number=1, layer=2, head=3, text="writes names", written_us=row.updated_us
            )
            return SessionDetailAnswer(detail=SessionDetail(session=row, runs=runs, last_seq=9, notes=(note,)))

    host = Many()
    host.add(*whole(recorded))
    return host


def _logged(recorded: Any) -> Any:
    folder = find_folders().logs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host.log").write_text(_LOG)
    return _done(recorded)


WORLDS: dict[str, Callable[[Any], Any]] = {
    "begun": _begun,
    "training": _training,
    "queued": _queued,
    "failed": _training,
    "trouble": _trouble,
    "done": _done,
    "colours": _done,
    "two": _two,
    "noted": _noted,
    "caused": _caused,
    "other": _other,
    "circuits": _circuits,
    "sessions": _sessions,
    "logged": _logged,
}


def own_settings() -> Settings:
    """Settings with two changes; the file has Ada's path on every machine."""
    path = find_folders().settings
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[screen]\nmap = "magma"\nsigns = true\n')
    return msgspec.structs.replace(load(path, {}), path=Path("/home/ada/.config/headcode/config.toml"))
