"""Facts of runs without a host: folded from events, with the codes of a real store where there is one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import DEFAULTS
from engine.events import EngineEvent
from sessions.errors import NoSuchRecord
from sessions.events import RunQueued, SessionCreated
from sessions.protocol import HeadInspection
from sessions.rows import NoteRow, RunRow, SessionRow
from tui.headless.run_command import run_command
from tui.headless.stored_run import MissingLooks, NodeFacts, StoredRun
from tui.report.document import report_of
from tui.report.html import html
from tui.report.markdown import markdown
from tui.report.material import Material, shown_nodes, view_of


def folded(events: Iterable[Any]) -> RunSnapshot:
    picture = RunSnapshot()
    for event in events:
        if isinstance(event, EngineEvent):
            picture = fold_event(picture, event)
    return picture


def facts_of(picture: RunSnapshot, *, name: str = "mine", run_id: str = "r0001", **changes: Any) -> StoredRun:
    """A run as the first of a session that a task began."""
    model = picture.model.name if picture.model is not None else "toy"
    session = SessionRow(
        session_id="s0001", name=name, model=model, task="ioi", created_us=0, updated_us=0, n_runs=1, n_positive=1,
        n_negative=1,
    )  # fmt: skip
    run = RunRow(
        run_id=run_id, session_id="s0001", number=1, state="done", model=model, model_info=picture.model, task="ioi",
        config=DEFAULTS, queued_us=0, started_us=1_000_000, ended_us=2_000_000, failure=None,
    )  # fmt: skip
    facts = StoredRun(
        session=session,
        run=run,
        picture=picture,
        created=SessionCreated(name=name, model=model, task="ioi", pairs=0),
        as_created=True,
        queued=RunQueued(config=DEFAULTS, model=model, task="ioi"),
    )
    return msgspec.structs.replace(facts, **changes)


def note(text: str, *, head: tuple[int, int] | None = None, run: bool = True) -> NoteRow:
    layer, of = head if head is not None else (None, None)
    return NoteRow(
        note_id="n1", run_id="r0001" if run else None, run_number=1, layer=layer, head=of, text=text, written_us=0
    )


def material_of(
    facts: StoredRun, *, store: Any = None, look: HeadInspection | None = None, prefix: str = ""
) -> Material:
    """What sections are made of; codes from the store if there is one."""
    from sessions.store.queries import head_codes

    measure, circuit = view_of(facts)
    nodes = []
    for node in shown_nodes(facts, measure):
        codes = None
        if store is not None:
            try:
                codes = head_codes(store, facts.run.run_id, layer=node.layer, head=node.head, seed=None)
            except NoSuchRecord:
                codes = None
        nodes.append(NodeFacts(node=node, codes=codes, look=look if node.is_head else None))
    missing = MissingLooks() if look is not None else MissingLooks(why="Nobody was asked.", hint="load it")
    return Material(
        facts=facts,
        measure=measure,
        circuit=circuit,
        nodes=tuple(nodes),
        missing=missing,
        command=run_command(facts, Path("/nowhere")),
        prefix=prefix,
    )


def written(*materials: Material) -> tuple[str, str]:
    """The report as HTML and as Markdown."""
    report = report_of(materials)
    return html(report), markdown(report)
