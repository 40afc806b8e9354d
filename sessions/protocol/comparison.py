"""Requests about comparisons and saved circuits."""

from typing import Literal

from sessions.comparison.comparison import ComparisonSide
from sessions.protocol.base import Message, Request
from sessions.rows import CircuitRow, ComparisonChoice


class GetSides(Request, tag="get_sides", frozen=True, kw_only=True):
    """Resolve two sides by name (see sessions.store.comparison_sides). Answered by SidesAnswer."""

    a: str
    b: str


class SidesAnswer(Message, tag="sides", frozen=True, kw_only=True):
    """The two sides, with their data."""

    a: ComparisonSide
    b: ComparisonSide


class ListComparable(Request, tag="list_comparable", frozen=True, kw_only=True):
    """List what a run can be compared with. Answered by ComparisonChoices."""

    run: str


class ComparisonChoices(Message, tag="comparable", frozen=True, kw_only=True):
    """What a run can be compared with."""

    choices: tuple[ComparisonChoice, ...]


class ListCircuits(Request, tag="list_circuits", frozen=True, kw_only=True):
    """List saved circuits. Answered by CircuitsAnswer."""

    session: str | None = None
    """None: the circuits of all sessions."""


class CircuitsAnswer(Message, tag="circuits", frozen=True, kw_only=True):
    """Saved circuits."""

    circuits: tuple[CircuitRow, ...]


SetOperation = Literal["union", "intersection", "subtract"]


class SaveCircuit(Request, tag="keep_circuit", frozen=True, kw_only=True):
    """Save heads under a name; the same name again replaces them. Answered by CircuitAnswer."""

    session: str
    name: str
    heads: tuple[tuple[int, int], ...]
    source: str
    run: str | None = None
    """The run they were selected from."""


class CircuitAnswer(Message, tag="circuit", frozen=True, kw_only=True):
    """The circuit as it was saved."""

    circuit: CircuitRow


class CombineCircuits(Request, tag="combine_circuits", frozen=True, kw_only=True):
    """Combine saved circuits into a new one and save it. Answered by CircuitAnswer."""

    session: str
    operation: SetOperation
    """subtract: the first without all others."""
    of: tuple[str, ...]
    name: str


class DeleteCircuit(Request, tag="drop_circuit", frozen=True, kw_only=True):
    """Delete a saved circuit. Answered by Done."""

    session: str
    name: str
