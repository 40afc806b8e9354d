"""Drafts of a run's events, as the supervisor hands them to the recorder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.events import ArrayReady
from sessions.store.recorder import EventDraft


def run_drafts(session_id: str, run_id: str, events: Iterable[Any], spool: Path) -> list[EventDraft]:
    """Drafts of the events; the codes come from a file in the run's spool folder."""
    return [
        EventDraft(
            session_id=session_id,
            run_id=run_id,
            event=event,
            spool=spool if isinstance(event, ArrayReady) and event.name == "codes" else None,
        )
        for event in events
    ]
