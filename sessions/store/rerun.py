"""Read from the log what is needed to repeat a run."""

from typing import Any

import msgspec

from engine.config import Precision, load_fields
from engine.examples import Example
from sessions.events import RunQueued
from sessions.store.database import Store
from sessions.store.projections import event_decoder
from sessions.store.queries import RunPlan, example_rows, plan_run
from sessions.store.views import DTYPE


class RerunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A run's inputs and settings, independent of later changes of its session."""

    work: RunPlan
    asked: RunQueued
    dtype: Precision | None = None
    """The precision its model was loaded in; None if it was not loaded."""

    @property
    def as_loaded(self) -> dict[str, Any]:
        """How its model was loaded, by name: as requested, but in the precision that `auto` meant then."""
        return {**load_fields(self.asked), "dtype": self.dtype or self.asked.dtype}


def find_rerun(store: Store, run_id: str) -> RerunRequest:
    """Return the examples, settings, model and device of a stored run."""
    session_id, seq, payload, used, loaded = store.rows(
        f"SELECT e.session_id, e.seq, e.payload, r.content_hash, {DTYPE} FROM event e "  # noqa: S608  # names of our own
        "JOIN run r ON r.run_id = e.run_id WHERE e.run_id = $run AND e.kind = 'run_queued'",
        {"run": run_id},
    )[0]
    asked = event_decoder.decode(payload)
    assert isinstance(asked, RunQueued)
    examples = _examples(store, session_id, seq, used)
    work = msgspec.structs.replace(plan_run(store, session_id), model=asked.model, task=asked.task, examples=examples)
    return RerunRequest(work=work, asked=asked, dtype=loaded)


def _examples(store: Store, session_id: str, queued_seq: int, used: str | None) -> tuple[Example, ...]:
    """Return the examples that the run reported, or else those its session had when it was queued."""
    if used is not None:
        return example_rows(store, used)
    rows = store.rows(
        "SELECT payload->>'$.content_hash' FROM event WHERE session_id = $session AND seq < $seq "
        "AND kind IN ('examples_set', 'examples_stepped') ORDER BY seq DESC LIMIT 1",
        {"session": session_id, "seq": queued_seq},
    )
    return example_rows(store, str(rows[0][0])) if rows else ()
