"""Change a session's name, tags and notes, and move it to and from the trash."""

import shlex
import unicodedata
from collections.abc import Sequence

from engine.nodes import NodeId
from sessions.edits.examples import clean_name, free_name
from sessions.errors import BadName, NoSuchRecord
from sessions.events import (
    LogEntry,
    NoteRemoved,
    NoteWritten,
    SessionEvent,
    SessionRenamed,
    SessionRestored,
    SessionTrashed,
    TagsSet,
)
from sessions.ids import new_id
from sessions.protocol import ChangeTags, RemoveNote, RenameSession, RestoreSession, TrashSession, WriteNote
from sessions.rows import NoteRow, RunRow, SessionRow
from sessions.store.database import Store
from sessions.store.group_commit import BatchKind, ChangeResult
from sessions.store.queries import (
    active_among,
    active_session,
    find_run,
    name_taken,
    run_row,
    session_notes,
    session_row,
    session_rows,
    session_tags,
    trashed_session,
)
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

MAX_TAG = 40
MAX_TAGS = 32
MAX_NOTE = 20_000
_IN_TAGS = frozenset("-_./:+")

Changed = tuple[SessionRow, list[RecordedEntry]]
Noted = tuple[NoteRow, SessionRow]


def clean_tag(text: str) -> str:
    """Return the tag in lower case without a leading #. Raises BadName if it is not one short word."""
    tag = unicodedata.normalize("NFC", text.strip().removeprefix("#")).lower()
    shown = text.strip()[:40]
    if not tag:
        raise BadName(f"{shown!r} is not a valid tag.", hint="A tag is one short word: ioi, to-check, paper/fig3.")
    if len(tag) > MAX_TAG:
        raise BadName(f"The tag that begins {shown!r} has {len(tag)} characters.", hint=f"At most {MAX_TAG}.")
    if not tag[0].isalnum() or not all(each.isalnum() or each in _IN_TAGS for each in tag):
        raise BadName(
            f"{shown!r} is not a valid tag.",
            hint="One word of letters, digits and - _ . / : + that begins with a letter.",
        )
    return tag


def clean_note(text: str) -> str:
    """Return the note without control characters; line breaks stay.

    Raises BadName if nothing is left, or it is too long.
    """
    clean = "".join(
        each
        for each in text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
        if each == "\n" or unicodedata.category(each) not in ("Cc", "Cs", "Co", "Cn")
    )
    note = "\n".join(line.rstrip() for line in clean.strip("\n").split("\n")).strip()
    if not note:
        raise BadName("The note is empty.", hint="Write some text; headcode sessions note --remove removes one.")
    if len(note) > MAX_NOTE:
        raise BadName(
            f"The note has {len(note)} characters.", hint=f"At most {MAX_NOTE}; longer texts belong in a file."
        )
    return note


def rename_session(recorder: Recorder, request: RenameSession) -> Changed:
    """Rename a session; return its row. Raises BadName if another session has the name."""
    session_id = active_session(recorder.store, request.session)
    name = clean_name(request.name)
    if session_row(recorder.store, session_id).name == name:
        return _changed(recorder, session_id, [])
    if name_taken(recorder.store, name):
        free = free_name(recorder.store, name)
        raise BadName(f"Another session is called {name!r}.", hint=f"{free!r} is free.")
    return _changed(recorder, session_id, [SessionRenamed(name=name)])


def change_tags(recorder: Recorder, request: ChangeTags) -> Changed:
    """Change a session's tags; return its row. Raises BadName, or NoSuchRecord for a missing tag to remove."""
    session_id = active_session(recorder.store, request.session)
    before = set(session_tags(recorder.store, session_id))
    add, remove = {clean_tag(tag) for tag in request.add}, {clean_tag(tag) for tag in request.remove}
    missing = sorted(remove - before)
    if missing:
        has = f"It has {', '.join(sorted(before))}." if before else "It has none."
        raise NoSuchRecord(f"The session has no tag {missing[0]!r}.", hint=has)
    after = (before | add) - remove
    if len(after) > MAX_TAGS:
        raise BadName(f"The session would have {len(after)} tags.", hint=f"The limit is {MAX_TAGS}; -TAG removes one.")
    return _changed(recorder, session_id, [] if after == before else [TagsSet(tags=tuple(sorted(after)))])


def write_note(recorder: Recorder, request: WriteNote) -> tuple[Noted, list[RecordedEntry]]:
    """Write or change a note; return it. Raises BadName, NoSuchRecord, NoSuchNode."""
    store = recorder.store
    session_id = active_session(store, request.session)
    text = clean_note(request.text)
    if request.note is not None:
        old = _find_note(store, session_id, request.note)
        place = None if old.layer is None or old.head is None else (old.layer, old.head)
        note_id, run_id, number = old.note_id, old.run_id, old.run_number
    else:
        run = _find_place(store, session_id, request)
        note_id, place = new_id("n"), request.head
        run_id, number = (None, None) if run is None else (run.run_id, run.number)
    event = NoteWritten(note_id=note_id, text=text, head=place)
    recorded = recorder.append([EventDraft(session_id=session_id, run_id=run_id, event=event)])
    return (_note_row(recorded[0].entry, event, number), session_row(store, session_id)), recorded


def write_notes(recorder: Recorder, requests: Sequence[WriteNote]) -> list[ChangeResult | None]:
    """Do a batch of write_note requests; None for those that must be done one by one.

    A batch of a hundred notes takes three queries and a few inserts in all, as many as a single note.
    """
    living = active_among(recorder.store, [request.session for request in requests])
    found: list[ChangeResult | None] = [None] * len(requests)
    written: list[tuple[int, EventDraft, NoteWritten]] = []
    for place, request in enumerate(requests):
        on_session = request.run is None and request.head is None and request.note is None
        if on_session and request.session in living:
            try:
                event = NoteWritten(note_id=new_id("n"), text=clean_note(request.text), head=None)
            except BadName as error:
                found[place] = ChangeResult(error=error)
            else:
                written.append((place, EventDraft(session_id=request.session, event=event), event))
    recorded = recorder.append([draft for _, draft, _ in written])
    rows = session_rows(recorder.store, sorted({draft.session_id for _, draft, _ in written})) if written else {}
    for (place, draft, event), each in zip(written, recorded, strict=True):
        found[place] = ChangeResult((_note_row(each.entry, event, None), rows[draft.session_id]), [each])
    return found


NOTES = BatchKind(write_notes, 200)


def remove_note(recorder: Recorder, request: RemoveNote) -> tuple[Noted, list[RecordedEntry]]:
    """Remove a note; return its last text. Raises NoSuchRecord."""
    session_id = active_session(recorder.store, request.session)
    note = _find_note(recorder.store, session_id, request.note)
    event = NoteRemoved(note_id=note.note_id)
    recorded = recorder.append([EventDraft(session_id=session_id, run_id=note.run_id, event=event)])
    return (note, session_row(recorder.store, session_id)), recorded


def trash_session(recorder: Recorder, request: TrashSession) -> Changed:
    """Move a session to the trash; return its row. Raises NoSuchRecord, or SessionBusy for an unfinished run."""
    store = recorder.store
    session_id = active_session(store, request.session)
    busy = store.rows(
        "SELECT number, state FROM run WHERE session_id = $session AND state IN ('queued', 'running') ORDER BY number",
        {"session": session_id},
    )
    if busy:
        name = session_row(store, session_id).name
        state = "is under way" if busy[0][1] == "running" else "waits for its turn"
        raise SessionBusy(
            f"Session {name!r} cannot be deleted: its run {busy[0][0]} {state}.",
            hint=f"Wait for its end, or stop it: x in headcode --session {shlex.quote(name)}",
        )
    return _changed(recorder, session_id, [SessionTrashed()])


def restore_session(recorder: Recorder, request: RestoreSession) -> Changed:
    """Take a session out of the trash; return its row."""
    session_id = trashed_session(recorder.store, request.session)
    name = session_row(recorder.store, session_id).name
    free = free_name(recorder.store, name)
    events: list[SessionEvent] = [SessionRestored()]
    if free != name:
        events.append(SessionRenamed(name=free))
    return _changed(recorder, session_id, events)


class SessionBusy(BadName):
    """A change that is not possible while the session has an unfinished run."""


def _changed(recorder: Recorder, session_id: str, events: list[SessionEvent]) -> Changed:
    drafts = [EventDraft(session_id=session_id, event=event) for event in events]
    recorded = recorder.append(drafts) if drafts else []
    return session_row(recorder.store, session_id), recorded


def _find_place(store: Store, session_id: str, request: WriteNote) -> RunRow | None:
    """Return the run that a note is about; None: the session. Raises NoSuchRecord, NoSuchNode."""
    if request.run is None and request.head is None:
        return None
    asked = request.run or "latest"
    numbered = asked == "latest" or (asked.isascii() and asked.isdecimal())
    run = run_row(store, find_run(store, f"{session_id}/{asked}" if numbered else asked))
    if run.session_id != session_id:
        raise NoSuchRecord(
            f"Run {run.run_id} belongs to another session.", hint="headcode sessions show lists a session's runs."
        )
    info = run.model_info
    if request.head is not None:
        layer, head = request.head
        if info is None:
            raise NoSuchRecord(
                f"Run {run.number} has no heads yet: its model was not loaded.", hint="Write it on the run, or wait."
            )
        info.layout.check(NodeId(layer, head))
    return run


def _note_row(entry: LogEntry, event: NoteWritten, run_number: int | None) -> NoteRow:
    """Return the note's row as the store holds it after that entry."""
    layer, head = (None, None) if event.head is None else event.head
    return NoteRow(
        note_id=event.note_id,
        run_id=entry.run_id,
        run_number=run_number,
        layer=layer,
        head=head,
        text=event.text,
        written_us=entry.at_us,
    )


def _find_note(store: Store, session_id: str, reference: str) -> NoteRow:
    """Return a note of the session by its id or the beginning of one. Raises NoSuchRecord."""
    notes = session_notes(store, session_id)
    found = [note for note in notes if note.note_id == reference]
    found = found or [note for note in notes if reference and note.note_id.startswith(reference)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchRecord(f"{reference!r} begins the ids of {len(found)} notes.", hint="Give more of it.")
    has = f"It has {', '.join(note.note_id for note in notes[-5:])}." if notes else "It has none."
    raise NoSuchRecord(f"The session has no note {reference[:80]!r}.", hint=has)
