"""What the host answers to questions about two things, and about kept circuits."""

from sessions.edits import circuits
from sessions.handlers.context import Answer, Means
from sessions.protocol import (
    Circuit,
    Circuits,
    CombineCircuits,
    Comparable,
    Done,
    DropCircuit,
    GetSides,
    KeepCircuit,
    ListCircuits,
    ListComparable,
    Sides,
)
from sessions.rows import CircuitRow
from sessions.store.circuits import circuits_of
from sessions.store.comparison_choices import comparable_with
from sessions.store.comparison_sides import find_sides
from sessions.store.database import Store
from sessions.store.queries import find_run, find_session


async def get_sides(host: Means, request: GetSides) -> Sides:
    a, b = await host.ledger.read(lambda store: find_sides(store, request.a, request.b, host.places.models))
    return Sides(a=a, b=b)


async def list_comparable(host: Means, request: ListComparable) -> Comparable:
    found = await host.ledger.read(lambda store: comparable_with(store, find_run(store, request.run)))
    return Comparable(choices=tuple(found))


async def list_circuits(host: Means, request: ListCircuits) -> Circuits:
    def read(store: Store) -> list[CircuitRow]:
        session_id = find_session(store, request.session) if request.session is not None else None
        return circuits_of(store, session_id)

    return Circuits(circuits=tuple(await host.ledger.read(read)))


async def keep_circuit(host: Means, request: KeepCircuit) -> Circuit:
    return Circuit(circuit=await host.ledger.change(lambda recorder: circuits.keep_circuit(recorder, request)))


async def combine_circuits(host: Means, request: CombineCircuits) -> Circuit:
    return Circuit(circuit=await host.ledger.change(lambda recorder: circuits.combine_circuits(recorder, request)))


async def drop_circuit(host: Means, request: DropCircuit) -> Done:
    await host.ledger.change(lambda recorder: circuits.drop_circuit(recorder, request))
    return Done()


ANSWERS: dict[type, Answer] = {
    GetSides: get_sides,
    ListComparable: list_comparable,
    ListCircuits: list_circuits,
    KeepCircuit: keep_circuit,
    CombineCircuits: combine_circuits,
    DropCircuit: drop_circuit,
}
