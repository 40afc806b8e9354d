"""What the drawing of a run's edges is made of: its codes, and how the user wants it drawn."""

from engine.nodes import NodeLayout
from sessions.errors import NoSuchRecord
from sessions.events import DrawingChanged
from sessions.store.database import Store
from sessions.store.projections import event_decoder
from sessions.store.queries import run_row


def run_codes(store: Store, run_id: str) -> tuple[NodeLayout, list[list[list[int]]]]:
    """Return the nodes of a run and their codes; [seed][example][node].

    Raises NoSuchRecord if the run stored no codes.
    """
    run = run_row(store, run_id)
    rows = store.rows("SELECT seed, codes FROM code WHERE run_id = $run ORDER BY seed, example", {"run": run_id})
    if run.model_info is None or not rows:
        raise NoSuchRecord(f"Run {run_id} is {run.state} and left no codes.", hint="Run it again to the end.")
    by_seed: dict[int, list[list[int]]] = {}
    for seed, codes in rows:
        by_seed.setdefault(int(seed), []).append(list(codes))
    return run.model_info.layout, list(by_seed.values())


def newest_drawing(store: Store, run_id: str) -> DrawingChanged | None:
    """Return how the run's edges are drawn; None if nobody changed it."""
    row = store.one(
        "SELECT max_by(payload, seq) FROM event WHERE run_id = $run AND kind = 'drawing_changed'", {"run": run_id}
    )
    if row is None or row[0] is None:
        return None
    event = event_decoder.decode(row[0])
    assert isinstance(event, DrawingChanged)
    return event
