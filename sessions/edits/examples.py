"""Create sessions and change their examples."""

import datetime
import unicodedata

from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, Example, check_set, content_hash
from sessions.errors import BadName, NothingToStep, StaleExamples
from sessions.events import ExamplesSet, ExamplesStepped, SessionCreated
from sessions.ids import new_id
from sessions.protocol import CreateSession, SetExamples, StepExamples
from sessions.rows import SessionRow
from sessions.store.database import Store
from sessions.store.queries import active_session, current_version, name_taken, neighbour_version, session_row
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

MAX_NAME = 200
_DROPPED = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def clean_name(text: str) -> str:
    """Return the name without control characters. Raises BadName if nothing is left, or it is too long."""
    clean = "".join(
        " " if character in "\t\n" else character
        for character in text
        if character in "\t\n" or (unicodedata.category(character) not in _DROPPED and character not in _BIDI)
    )
    name = " ".join(clean.split())
    if not name:
        raise BadName(f"{text[:40]!r} is not a valid session name.", hint="Give it at least one letter.")
    if len(name) > MAX_NAME:
        raise BadName(f"The name that begins {name[:40]!r} has {len(name)} characters.", hint=f"At most {MAX_NAME}.")
    return name


def create_session(recorder: Recorder, request: CreateSession) -> tuple[SessionRow, list[RecordedEntry]]:
    """Create a session; return its row. Raises BadName, ExampleError, StoreError."""
    if request.examples:
        check_set(request.examples)
    if not request.model.strip():
        raise BadName("A session needs a model.", hint="For example toy; headcode models list shows installed models.")
    session_id = new_id("s")
    event = SessionCreated(
        name=free_name(recorder.store, clean_name(request.name if request.name is not None else _made_up(request))),
        model=request.model,
        task=request.task,
        pairs=request.pairs,
        task_seed=request.task_seed,
    )
    drafts = [EventDraft(session_id=session_id, event=event)]
    if request.examples:
        drafts.append(_examples(session_id, request.examples))
    recorded = recorder.append(drafts)
    return session_row(recorder.store, session_id), recorded


def set_examples(recorder: Recorder, request: SetExamples) -> tuple[SessionRow, list[RecordedEntry]]:
    """Set the session's examples, drafts included; return its row.

    Only a run requires both polarities and complete pairs. A set equal to the current one is not recorded again.
    Raises NoSuchRecord, StaleExamples, ExampleError, StoreError.
    """
    session_id = active_session(recorder.store, request.session)
    if len(request.examples) > MAX_EXAMPLES:
        raise ExampleError(
            f"{len(request.examples)} examples in one set; the limit is {MAX_EXAMPLES}.",
            hint="A run needs 10 to 500.",
        )
    version, now = current_version(recorder.store, session_id)
    if request.over is not None and request.over != now:
        raise StaleExamples(
            "The examples have been changed elsewhere since.", hint="Check them, then repeat the change."
        )
    drafts = [_examples(session_id, request.examples)]
    if version == 0 and request.examples:
        # The state before the first edit is a version, too, so that undo can return to it.
        drafts.insert(0, _examples(session_id, ()))
    elif version == 0 or content_hash(request.examples) == now:
        drafts.clear()
    recorded = recorder.append(drafts) if drafts else []
    return session_row(recorder.store, session_id), recorded


def step_examples(recorder: Recorder, request: StepExamples) -> tuple[SessionRow, list[RecordedEntry]]:
    """Undo or redo a change of the examples; return the session's row.

    Raises NoSuchRecord, NothingToStep, StoreError.
    """
    session_id = active_session(recorder.store, request.session)
    found = neighbour_version(recorder.store, session_id, by=request.by)
    if found is None:
        word = "undo" if request.by < 0 else "redo"
        raise NothingToStep(f"There is nothing to {word} in the examples.", hint="They are as they were.")
    version, hashed = found
    event = ExamplesStepped(by=request.by, version=version, content_hash=hashed)
    recorded = recorder.append([EventDraft(session_id=session_id, event=event)])
    return session_row(recorder.store, session_id), recorded


def _examples(session_id: str, examples: tuple[Example, ...]) -> EventDraft:
    return EventDraft(session_id=session_id, event=ExamplesSet(examples=examples, content_hash=content_hash(examples)))


def _made_up(request: CreateSession) -> str:
    today = datetime.datetime.now().astimezone().date().isoformat()
    return f"{request.task or 'examples'} {today}"


def free_name(store: Store, name: str) -> str:
    """Return the name, with a number added if it is taken."""
    if not name_taken(store, name):
        return name
    number = 2
    while name_taken(store, f"{name[: MAX_NAME - 12]} {number}"):
        number += 1
    return f"{name[: MAX_NAME - 12]} {number}"
