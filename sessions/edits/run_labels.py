"""Name and tag a run."""

from sessions.edits.examples import clean_name
from sessions.edits.metadata import MAX_TAGS, clean_tag
from sessions.errors import BadName, NoSuchRecord
from sessions.events import RunLabelled
from sessions.ids import name_trouble
from sessions.protocol import LabelRun
from sessions.rows import RunRow
from sessions.store.queries import active_session, find_run, run_row
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder
from sessions.store.run_names import run_with_name


def label_run(recorder: Recorder, request: LabelRun) -> tuple[RunRow, list[RecordedEntry]]:
    """Change a run's name and tags; return its row. Raises BadName, NoSuchRecord."""
    store = recorder.store
    run = run_row(store, find_run(store, request.run))
    active_session(store, run.session_id)
    name = run.name if request.name is None else _clean(recorder, run, request.name)
    add, remove = {clean_tag(tag) for tag in request.add}, {clean_tag(tag) for tag in request.remove}
    if missing := sorted(remove - set(run.tags)):
        has = f"It has {', '.join(run.tags)}." if run.tags else "It has none."
        raise NoSuchRecord(f"Run {run.number} has no tag {missing[0]!r}.", hint=has)
    tags = tuple(sorted((set(run.tags) | add) - remove))
    if len(tags) > MAX_TAGS:
        raise BadName(f"The run would have {len(tags)} tags.", hint=f"The limit is {MAX_TAGS}; -TAG removes one.")
    if (name, tags) == (run.name, run.tags):
        return run, []
    draft = EventDraft(session_id=run.session_id, run_id=run.run_id, event=RunLabelled(name=name, tags=tags))
    recorded = recorder.append([draft])
    return run_row(store, run.run_id), recorded


def _clean(recorder: Recorder, run: RunRow, name: str) -> str:
    """Return the name as it is stored; empty removes it. Raises BadName."""
    if not name.strip():
        return ""
    clean = clean_name(name)
    if trouble := name_trouble(clean):
        raise BadName(
            f"A run cannot be called {clean!r}: {trouble}.", hint="Words, digits, - and _ are fine: last-try."
        )
    other = run_with_name(recorder.store, run.session_id, clean)
    if other is not None and other != run.run_id:
        number = run_row(recorder.store, other).number
        raise BadName(f"Run {number} of this session is called {clean!r}.", hint="Rename that one first.")
    return clean
