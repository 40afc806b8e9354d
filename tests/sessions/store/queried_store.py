"""A store with something in every view of `headcode sql`."""

from pathlib import Path
from typing import Any

from engine.config import ProbeConfig
from engine.events import EdgesAttributed
from engine.protocol import RunProbe
from engine.results import EdgeEffect
from engine.steering import DosePoint, SteerPlan, SteerResult, TextCost
from sessions.events import (
    CircuitSaved,
    NoteWritten,
    RunEnded,
    RunQueued,
    RunStarted,
    SessionCreated,
    SessionTrashed,
    SteeringRecorded,
    TagsSet,
)
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder

from ..drafts import run_drafts

LATER = (
    EdgeEffect(source=(0, 1), target=(1, 0), effect=-0.75),
    EdgeEffect(source=(0, 0), target=(1, 2), effect=0.5),
)


def by_edges(edges: tuple[EdgeEffect, ...]) -> EdgesAttributed:
    return EdgesAttributed(
        metric="logit_difference", replacement="pair", base=3.5, n_examples=2, edges=edges, n_pairs=9, passes=4.0
    )


STEERED = (
    SteeringRecorded(
        plan=SteerPlan(
            kind="code", nodes=((1, 2),), seed=5, strengths=(-2.0, 2.0), strength=3.0, random=2, where="place", place=-1
        ),
        result=SteerResult(
            unit=1.5,
            prompt="one",
            kl=0.25,
            metric="logit_difference",
            base=3.5,
            prompts=2,
            points=(
                DosePoint(strength=-2.0, effect=-1.0, error=0.5, random=(-0.25, 0.75)),
                DosePoint(strength=2.0, effect=0.5, error=None, random=(-0.25, 0.75)),
            ),
            cost=TextCost(tokens=9, before=-3.0, after=-3.25, random=(-3.1,)),
        ),
    ),
    SteeringRecorded(
        plan=SteerPlan(kind="contrast", nodes=((0, -1),), source="stream", strengths=(1.0,), random=0, where="last"),
        result=SteerResult(
            unit=2.0,
            prompt="one",
            kl=0.75,
            metric="kl",
            prompts=1,
            points=(DosePoint(strength=1.0, effect=0.5, error=None),),
        ),
    ),
    SteeringRecorded(
        plan=SteerPlan(kind="off", nodes=((0, 1), (1, -1))), result=SteerResult(unit=0.0, prompt="one", kl=0.5)
    ),
)


def queried_store(folder: Path, script: Any) -> Store:
    """Return a store with two sessions, a run each, notes, tags and a circuit; and a similar third in the trash."""
    store = Store.open(folder / "sessions.duckdb")
    recorder = Recorder(store)
    config = ProbeConfig(seeds=(4, 5))
    for session, task in (("s1", "ioi"), ("s2", "greater_than"), ("s3", "ioi")):
        run, spool = f"r-{session}", folder / session
        request = RunProbe(
            job=run, model="toy", task=task, pairs=2, config=config, spool=str(spool), models="", activations=""
        )
        recorder.append(
            [EventDraft(session_id=session, event=SessionCreated(name=f"of {task}", model="toy", task=task))]
        )
        events = [
            RunQueued(config=config, model="toy", task=task),
            RunStarted(),
            *script.normal(request),
            *(by_edges(edges) for edges in (LATER[::-1], LATER)),
            RunEnded(state="done"),
            *STEERED,
        ]
        recorder.append(run_drafts(session, run, events, spool))
        for event in (
            NoteWritten(note_id=f"n-{session}", text="look\nhere", head=(1, 2)),
            CircuitSaved(name="best", heads=((0, 1), (1, 2)), source="by hand"),
        ):
            recorder.append([EventDraft(session_id=session, run_id=run, event=event)])
        recorder.append([EventDraft(session_id=session, event=TagsSet(tags=("a", "b")))])
    recorder.append([EventDraft(session_id="s3", event=SessionTrashed())])
    return store
