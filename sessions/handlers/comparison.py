"""Answer requests about comparisons and saved circuits."""

from sessions.edits import circuits
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import (
    CircuitAnswer,
    CircuitsAnswer,
    CombineCircuits,
    ComparisonChoices,
    DeleteCircuit,
    Done,
    GetSides,
    ListCircuits,
    ListComparable,
    SaveCircuit,
    SidesAnswer,
)
from sessions.rows import CircuitRow
from sessions.store.circuits import circuits_of
from sessions.store.comparison_choices import comparable_with
from sessions.store.comparison_sides import find_sides
from sessions.store.database import Store
from sessions.store.queries import find_run, find_session


async def get_sides(host: HandlerContext, request: GetSides) -> SidesAnswer:
    """Resolve both sides of a comparison."""
    a, b = await host.writer.read(lambda store: find_sides(store, request.a, request.b, host.places.models))
    return SidesAnswer(a=a, b=b)


async def list_comparable(host: HandlerContext, request: ListComparable) -> ComparisonChoices:
    """List what a run can be compared with."""
    found = await host.writer.read(lambda store: comparable_with(store, find_run(store, request.run)))
    return ComparisonChoices(choices=tuple(found))


async def list_circuits(host: HandlerContext, request: ListCircuits) -> CircuitsAnswer:
    """List saved circuits."""

    def read(store: Store) -> list[CircuitRow]:
        session_id = find_session(store, request.session) if request.session is not None else None
        return circuits_of(store, session_id)

    return CircuitsAnswer(circuits=tuple(await host.writer.read(read)))


async def keep_circuit(host: HandlerContext, request: SaveCircuit) -> CircuitAnswer:
    """Save a circuit."""
    return CircuitAnswer(circuit=await host.writer.change(lambda recorder: circuits.keep_circuit(recorder, request)))


async def combine_circuits(host: HandlerContext, request: CombineCircuits) -> CircuitAnswer:
    """Combine saved circuits."""
    return CircuitAnswer(
        circuit=await host.writer.change(lambda recorder: circuits.combine_circuits(recorder, request))
    )


async def drop_circuit(host: HandlerContext, request: DeleteCircuit) -> Done:
    """Delete a saved circuit."""
    await host.writer.change(lambda recorder: circuits.drop_circuit(recorder, request))
    return Done()


ANSWERS: dict[type, Answer] = {
    GetSides: get_sides,
    ListComparable: list_comparable,
    ListCircuits: list_circuits,
    SaveCircuit: keep_circuit,
    CombineCircuits: combine_circuits,
    DeleteCircuit: drop_circuit,
}
