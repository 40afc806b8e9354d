"""Known edges: measured ones that lie beside a model's weights, planted ones that were written into them."""

from pathlib import Path

import msgspec

from engine.catalog.settings_file import bytes_of
from engine.errors import ModelError
from engine.references.known_circuits import planted_edges
from engine.results import ModelInfo

FILE = "edges.json"
Head = tuple[int, int]
Edge = tuple[Head, Head]
"""(source, target), the source in an earlier layer."""


class MeasuredEdges(msgspec.Struct, frozen=True, kw_only=True):
    """One task's edges in one model, by exact patching of every edge alone (engine.patching.edge_patching)."""

    metric: str
    base: float
    """The metric's mean over the positives."""
    cut: float
    """An edge belongs to the circuit when replacing it moves the metric by this share of its base."""
    pairs: int
    task_seed: int
    effects: list[list[float]]
    """A row for each target from layer 1 on, head by head; in it a number for each head of the layers before: patched
    minus base."""

    def by_edge(self, n_heads: int) -> dict[Edge, float]:
        """Every edge's effect."""
        return {
            (divmod(source, n_heads), divmod(target + n_heads, n_heads)): effect
            for target, row in enumerate(self.effects)
            for source, effect in enumerate(row)
        }


class MeasuredEdgesFile(msgspec.Struct, frozen=True, kw_only=True):
    """What edges.json holds."""

    schema: str = "headcode.edges/1"
    model: str
    identity: str
    measured: str
    versions: dict[str, str]
    tasks: dict[str, MeasuredEdges]


class KnownEdges(msgspec.Struct, frozen=True, kw_only=True):
    """The head-to-head edges of a task's circuit. Every other pair of an earlier and a later head is none."""

    source: str
    """Where that is known from, in words."""
    cut: float | None
    """The share of the base that makes an edge; None where the circuit was written so."""
    edges: frozenset[Edge]
    effects: dict[Edge, float]
    """What was measured, in the metric's unit; empty where nothing had to be."""


def known_edges(model: ModelInfo, folder: Path, task: str, cut: float | None = None) -> KnownEdges | None:
    """The edges this very model has for this task; None where nobody measured or planted any, or none passes.

    `cut`: another share of the base than the stored one; without meaning for planted circuits.
    """
    planted = planted_edges(model, folder, task)
    if planted is not None:
        return KnownEdges(source="true by construction (docs/planted.md)", cut=None, edges=planted, effects={})
    try:
        found = msgspec.json.decode(bytes_of(folder / FILE), type=MeasuredEdgesFile)
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return None  # none, or somebody else's file of that name
    if found.identity != model.identity or task not in found.tasks:
        return None
    measured = found.tasks[task]
    share = measured.cut if cut is None else cut
    effects = measured.by_edge(model.n_heads)
    edges = frozenset(edge for edge, effect in effects.items() if abs(effect) >= share * abs(measured.base))
    source = f"exact patching of every edge on {measured.pairs} pairs; {share:.1%} of the base"
    return KnownEdges(source=source, cut=share, edges=edges, effects=effects) if edges else None
