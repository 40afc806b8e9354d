"""Published circuits, and the AUCs that papers report for finding their heads, as JSON files in published/."""

from typing import Literal

import msgspec

from engine.nodes import NodeId, mlp
from engine.references.measured import FOLDER

PUBLISHED = FOLDER / "published"


class ReportedAuc(msgspec.Struct, frozen=True, kw_only=True):
    """The AUC of one method for finding the circuit's heads, as a paper reports it."""

    method: str
    """The paper's name of the method."""
    auc: float
    spread: float | None = None
    """What the paper gives after ±; None if it gives nothing."""
    measure: str = ""
    """The measure of engine.measures that is the same method, under the published recipe; empty if none is."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one paper reports for a circuit."""

    source: str
    """The paper, and the conditions of its numbers."""
    differs: str = ""
    """How the circuit it was judged by differs from this one; empty if it does not."""
    aucs: tuple[ReportedAuc, ...]


class PublishedCircuit(msgspec.Struct, frozen=True, kw_only=True):
    """A circuit as its authors published it. Its heads mean something in one model only."""

    schema: Literal["headcode.published-circuit/1"]
    models: tuple[str, ...]
    """Names of the model: the one it is installed under, then those of the hub."""
    task: str
    source: str
    n_layers: int
    n_heads: int
    d_model: int
    heads: tuple[tuple[int, int], ...]
    edges: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    mlps: tuple[int, ...] = ()
    """Layers whose MLPs are in the circuit; empty where the authors say nothing about MLPs."""
    mlp_edges: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    """Edges into and out of MLPs ([layer, -1]), where the authors give them; none begins at the embedding."""
    report: Report | None = None

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """Heads and MLPs of the circuit."""
        return (*(NodeId(*head) for head in self.heads), *map(mlp, self.mlps))

    def misfit(self, n_layers: int, n_heads: int, d_model: int) -> str:
        """Return why a model of that shape is not the circuit's, whatever its name; empty if the shape is the same."""
        if (n_layers, n_heads, d_model) == (self.n_layers, self.n_heads, self.d_model):
            return ""
        return (
            f"published for {self.n_layers} x {self.n_heads} heads and width {self.d_model}; the model of that name on "
            f"this machine has {n_layers} x {n_heads} heads and width {d_model}"
        )


def all_published() -> tuple[PublishedCircuit, ...]:
    """Return every published circuit."""
    files = sorted(PUBLISHED.glob("*.json"))
    return tuple(msgspec.json.decode(path.read_bytes(), type=PublishedCircuit) for path in files)


def published_circuit(model: str, task: str) -> PublishedCircuit | None:
    """Return the published circuit of that model, under any of its names, for that task; None if there is none."""
    for circuit in all_published():
        if circuit.task == task and model.lower() in [name.lower() for name in circuit.models]:
            return circuit
    return None


def names_of(model: str) -> tuple[str, ...]:
    """Return all names of a model with published circuits, the one it is installed under first; empty for others."""
    return next((circuit.models for circuit in all_published() if model in circuit.models), ())
