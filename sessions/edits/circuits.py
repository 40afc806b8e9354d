"""Save, combine and delete circuits."""

from collections.abc import Callable, Sequence

from engine.nodes import EMBEDDING, NO_HEAD, NodeId
from sessions.comparison.circuit_sets import intersection, subtract, union
from sessions.edits.examples import clean_name
from sessions.errors import BadName, NoSuchRecord
from sessions.events import CircuitDeleted, CircuitSaved
from sessions.protocol import CombineCircuits, DeleteCircuit, SaveCircuit, SetOperation
from sessions.rows import CircuitRow
from sessions.store.circuits import circuits_of, find_circuit
from sessions.store.queries import find_run, find_session, run_layout
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

MAX_HEADS = 100_000
_MAX_SOURCE = 500
_WORDS: dict[SetOperation, str] = {"union": "union of", "intersection": "intersection of", "subtract": "difference of"}
_DO: dict[SetOperation, Callable[..., tuple[NodeId, ...]]] = {
    "union": union,
    "intersection": intersection,
    "subtract": subtract,
}


def keep_circuit(recorder: Recorder, request: SaveCircuit) -> tuple[CircuitRow, list[RecordedEntry]]:
    """Save a circuit; return its row. Raises NoSuchRecord, NoSuchNode, BadName, StoreError."""
    session_id = find_session(recorder.store, request.session)
    run_id = find_run(recorder.store, request.run) if request.run is not None else None
    return _keep(recorder, session_id, run_id, request.name, request.heads, request.source)


def combine_circuits(recorder: Recorder, request: CombineCircuits) -> tuple[CircuitRow, list[RecordedEntry]]:
    """Combine saved circuits and save the result. Raises NoSuchRecord, NoSuchNode, BadName, StoreError."""
    store = recorder.store
    session_id = find_session(store, request.session)
    if len(request.of) < 2:
        raise BadName(f"A {request.operation} takes at least two circuits.", hint="Name them.")
    parts = [find_circuit(store, name, session_id=session_id) for name in request.of]
    layouts = [layout for part in parts if (layout := run_layout(store, part.run_id)) is not None]
    shapes = {(layout.n_layers, layout.n_heads) for layout in layouts}
    if len(shapes) > 1:
        words = " and ".join(f"{layers} x {heads}" for layers, heads in sorted(shapes))
        raise BadName(
            f"The circuits are from models of different shapes: {words}.", hint="Choose circuits of one model."
        )
    made = _DO[request.operation](*(part.heads for part in parts))
    runs = {part.run_id for part in parts if part.run_id is not None and part.session_id == session_id}
    source = f"{_WORDS[request.operation]} {', '.join(part.name for part in parts)}"
    return _keep(recorder, session_id, min(runs) if runs else None, request.name, made, source)


def drop_circuit(recorder: Recorder, request: DeleteCircuit) -> tuple[None, list[RecordedEntry]]:
    """Delete a saved circuit. Raises NoSuchRecord if the session has none of that name."""
    session_id = find_session(recorder.store, request.session)
    found = {row.name for row in circuits_of(recorder.store, session_id)}
    if request.name not in found:
        there = ", ".join(map(repr, sorted(found)))
        raise NoSuchRecord(
            f"The session has no circuit {request.name!r}.", hint=f"It has {there}." if there else "It has none."
        )
    return None, recorder.append([EventDraft(session_id=session_id, event=CircuitDeleted(name=request.name))])


def _keep(
    recorder: Recorder,
    session_id: str,
    run_id: str | None,
    name: str,
    heads: Sequence[tuple[int, int]],
    source: str,
) -> tuple[CircuitRow, list[RecordedEntry]]:
    clean = clean_name(name)
    if not all(NodeId(*head).in_circuits for head in heads):
        raise BadName(
            f"{EMBEDDING} cannot be listed in a circuit: the embedding is in every one.",
            hint="Name heads, for example 9.6, and MLPs, m8.",
        )
    if len(heads) > MAX_HEADS or any(layer < 0 or head < NO_HEAD for layer, head in heads):
        raise BadName(
            f"{len(heads)} heads cannot form a circuit.",
            hint="Heads are written layer.head, for example 9.6, and MLPs m8.",
        )
    layout = run_layout(recorder.store, run_id)
    outside = [NodeId(*head) for head in heads if layout is not None and head not in layout]
    if layout is not None and outside:
        if not outside[0].is_head and layout.choice == "heads":
            layout.check(outside[0])  # says how to get a run with MLPs
        kind = "head" if outside[0].is_head else "node"
        raise BadName(
            f"The run's model has no {kind} {outside[0]}: it has {layout.n_layers} layers of {layout.n_heads} heads.",
            hint="Layers and heads are counted from 0.",
        )
    event = CircuitSaved(name=clean, heads=tuple(union(heads)), source=clean_name(source)[:_MAX_SOURCE])
    recorded = recorder.append([EventDraft(session_id=session_id, run_id=run_id, event=event)])
    return find_circuit(recorder.store, clean, session_id=session_id), recorded
