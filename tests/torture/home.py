"""Provide a store with all its files, and valid bundles exported from it."""

import os
import shutil
from pathlib import Path
from typing import Any, get_args

from engine.config import PatchingMetric, ProbeConfig, Replacement
from engine.errors import Failure
from engine.events import CircuitChecked, EffectsMeasured, Notice
from engine.examples import content_hash
from engine.protocol import RunProbe
from engine.results import CurvePoint, NodeEffect
from sessions.bundle.export import BATCH, BundleWriter, find_range, read_log_rows, read_run_codes
from sessions.bundle.import_bundle import CheckedBundle, import_into_store
from sessions.events import (
    ArrayStored,
    CircuitSaved,
    DrawingChanged,
    ExamplesSet,
    ExamplesStepped,
    NodeGroup,
    NoteWritten,
    RunEnded,
    RunQueued,
    RunStarted,
    SessionCreated,
    TagsSet,
)
from sessions.files.array_files import store_by_content
from sessions.ids import new_id
from sessions.protocol.bundle_manifest import ExportResult
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder

from ..sessions import scripted_worker as script
from ..sessions.drafts import run_drafts

METRIC, REPLACEMENT = get_args(PatchingMetric)[0], get_args(Replacement)[0]


EDGES = script.patched((((0, 1), (1, 2)), ((0, 2), (1, 0))))
DRAWING = DrawingChanged(
    weight="exact", least=0.1, pinned=((0, 1),), groups=(NodeGroup(name="the first", nodes=((0, 1), (0, 2))),)
)


class Home:
    """A store with all its files, used without a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool, self.sae = folder / "spool", folder / "sae"
        self.spool.mkdir(parents=True, exist_ok=True)
        self.sae.mkdir(exist_ok=True)
        self.store = Store.open(folder / "sessions.duckdb")
        self.recorder = Recorder(self.store)

    def close(self) -> None:
        self.store.close()

    def session(self, *, runs: int = 2, model: str = "toy") -> str:
        """Make a realistic session: runs, one of them failed, undone examples, notes, tags, a circuit."""
        session_id = new_id("s")
        examples = script.examples_of("ioi", 2)
        fewer = examples[:2]
        say = [
            SessionCreated(name=f"a session {session_id}", model=model, task="ioi", pairs=2),
            ExamplesSet(examples=examples, content_hash=content_hash(examples)),
            ExamplesSet(examples=fewer, content_hash=content_hash(fewer)),
            ExamplesStepped(by=-1, version=1, content_hash=content_hash(examples)),
            TagsSet(tags=("good", "näher")),
            CircuitSaved(name="mine", heads=((0, 1), (1, 2)), source="by hand"),
        ]
        self.recorder.append([EventDraft(session_id=session_id, event=event) for event in say])
        for _ in range(runs):
            self.run(session_id, model=model)
        failure = Failure(
            family="engine", name="WorkerDied", message=f"The worker (PID {os.getpid()}) died.", hint="Try again."
        )
        broken = [
            RunQueued(config=ProbeConfig(), model=model),
            RunStarted(),
            Notice(message=f"{self.folder}/x/config.json is odd."),
            RunEnded(state="failed", failure=failure),
        ]
        run_id = new_id("r")
        self.recorder.append([EventDraft(session_id=session_id, run_id=run_id, event=event) for event in broken])
        self.recorder.append(
            [EventDraft(session_id=session_id, event=NoteWritten(note_id="n1", text="Ümlaut\n\x1b[31m"))]
        )
        return session_id

    def run(self, session_id: str, *, model: str = "toy", seeds: tuple[int, ...] = (4, 5)) -> str:
        run_id = new_id("r")
        spool, config = self.spool / run_id, ProbeConfig(seeds=seeds)
        request = RunProbe(
            job=run_id, model=model, task="ioi", pairs=2, config=config, spool=str(spool), models="", activations=""
        )
        caused = [
            EffectsMeasured(
                method="attribution",
                metric=METRIC,
                replacement=REPLACEMENT,
                base=1.5,
                n_examples=2,
                position="mean",
                effects=tuple(
                    NodeEffect(layer=layer, head=head, effect=-0.25) for layer in (0, 1) for head in range(3)
                ),
                passes=2.0,
                final=True,
            ),
            CircuitChecked(
                name="codes",
                heads=((0, 1),),
                metric=METRIC,
                replacement=REPLACEMENT,
                base=1.5,
                empty=0.0,
                n_examples=2,
                faithfulness=0.5,
                completeness=0.25,
                minimality=(NodeEffect(layer=0, head=1, effect=-0.5, error=0.125),),
                random_faithfulness=(0.0, 0.25),
                random_completeness=(0.0, 0.25),
                curve=(CurvePoint(size=1, faithfulness=0.5, completeness=0.25),),
                area=0.5,
                passes=9.0,
            ),
        ]
        events = [
            RunQueued(config=config, model=model, task="ioi"),
            RunStarted(),
            *script.normal(request),
            *caused,
            EDGES,
        ]
        drafts = run_drafts(session_id, run_id, events, spool)
        self.recorder.append(drafts)
        sha256, n_bytes = store_by_content(spool / "sae.safetensors", self.sae)
        shutil.rmtree(spool)
        last = [ArrayStored(name="sae", sha256=sha256, n_bytes=n_bytes), RunEnded(state="done"), DRAWING]
        self.recorder.append([EventDraft(session_id=session_id, run_id=run_id, event=event) for event in last])
        return run_id

    def export(self, session: str, goal: Path, *, sae: bool = False) -> ExportResult:
        head = find_range(self.store, session)
        with BundleWriter(self.spool, head) as writer:
            for after in range(0, head.last_seq, BATCH):
                writer.add(read_log_rows(self.store, head.session_id, after_seq=after, up_to=head.last_seq))
            for run_id in writer.codes_wanted:
                writer.add_codes(run_id, read_run_codes(self.store, run_id))
            return writer.finish(goal, sae=self.sae if sae else None, force=True)

    def take(self, path: Path, **how: Any) -> Any:
        with CheckedBundle(path, self.spool) as bundle:
            options = {"name": None, "as_copy": False} | how
            imported, _ = import_into_store(self.recorder, bundle, sae=self.sae, **options)
        return imported

    def counts(self) -> list[tuple[Any, ...]]:
        tables = (
            "event",
            "session",
            "run",
            "code",
            "step",
            "node_score",
            "example_set",
            "note",
            "tag",
            "circuit",
            "cause",
        )
        sql = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables)  # noqa: S608
        return self.store.rows(sql)

    def drop(self, session_id: str) -> None:
        """Delete an imported session, so that the next file meets the same store."""
        runs = [
            run_id for (run_id,) in self.store.rows("SELECT run_id FROM run WHERE session_id = $s", {"s": session_id})
        ]
        with self.store.transaction() as con:
            for table in ("event", "session", "example_set", "note", "tag", "circuit", "run"):
                con.execute(f"DELETE FROM {table} WHERE session_id = $s", {"s": session_id})  # noqa: S608
            for table in ("code", "step", "node_score", "edge_score", "grade", "cause", "circuit_check"):
                for run_id in runs:
                    con.execute(f"DELETE FROM {table} WHERE run_id = $r", {"r": run_id})  # noqa: S608
        self.recorder.forget()
