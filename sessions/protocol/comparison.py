"""Two things side by side, and circuits kept under names."""

from typing import Literal

from sessions.comparison.comparison import ComparisonSide
from sessions.protocol.base import Message, Request
from sessions.rows import CircuitRow, ComparisonChoice


class GetSides(Request, tag="get_sides", frozen=True, kw_only=True):
    """Two things to be compared, named as sessions.store.comparison_sides says. Answered by SidesAnswer."""

    a: str
    b: str


class SidesAnswer(Message, tag="sides", frozen=True, kw_only=True):
    a: ComparisonSide
    b: ComparisonSide


class ListComparable(Request, tag="list_comparable", frozen=True, kw_only=True):
    """What a run can be held against. Answered by ComparisonChoices."""

    run: str


class ComparisonChoices(Message, tag="comparable", frozen=True, kw_only=True):
    choices: tuple[ComparisonChoice, ...]


class ListCircuits(Request, tag="list_circuits", frozen=True, kw_only=True):
    session: str | None = None
    """None: of all sessions."""


class CircuitsAnswer(Message, tag="circuits", frozen=True, kw_only=True):
    circuits: tuple[CircuitRow, ...]


SetOperation = Literal["union", "intersection", "subtract"]


class SaveCircuit(Request, tag="keep_circuit", frozen=True, kw_only=True):
    """Heads under a name; the same name again replaces them. Answered by CircuitAnswer."""

    session: str
    name: str
    heads: tuple[tuple[int, int], ...]
    source: str
    run: str | None = None
    """The run they were cut from."""


class CircuitAnswer(Message, tag="circuit", frozen=True, kw_only=True):
    circuit: CircuitRow


class CombineCircuits(Request, tag="combine_circuits", frozen=True, kw_only=True):
    """A circuit made of kept ones, kept in its turn. Answered by CircuitAnswer."""

    session: str
    operation: SetOperation
    """subtract: the first less all others."""
    of: tuple[str, ...]
    name: str


class DeleteCircuit(Request, tag="drop_circuit", frozen=True, kw_only=True):
    session: str
    name: str
