"""Known edges: measured ones beside a model's weights, planted ones that were written into them."""

from pathlib import Path

import msgspec

from engine.catalog.settings_file import bytes_of
from engine.errors import ModelError
from engine.references.known_circuits import planted_edges
from engine.results import ModelInfo

FILE = "edges.json"
Head = tuple[int, int]
Edge = tuple[Head, Head]
"""(source, target); the source is in an earlier layer."""


class MeasuredEdges(msgspec.Struct, frozen=True, kw_only=True):
    """One task's edges in one model, by exact patching of every single edge (engine.patching.edge_patching)."""

    metric: str
    base: float
    """The metric's mean over the positives."""
    cut: float
    """An edge is in the circuit if replacing it moves the metric by this share of its base."""
    pairs: int
    task_seed: int
    effects: list[list[float]]
    """A row per target head from layer 1 on, a number per head of the earlier layers in it: patched minus base."""

    def by_edge(self, n_heads: int) -> dict[Edge, float]:
        """Return every edge's effect."""
        return {
            (divmod(source, n_heads), divmod(target + n_heads, n_heads)): effect
            for target, row in enumerate(self.effects)
            for source, effect in enumerate(row)
        }


class MeasuredEdgesFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of edges.json."""

    schema: str = "headcode.edges/1"
    model: str
    identity: str
    measured: str
    versions: dict[str, str]
    tasks: dict[str, MeasuredEdges]


class KnownEdges(msgspec.Struct, frozen=True, kw_only=True):
    """The head-to-head edges of a task's circuit; every other pair of an earlier and a later head is not in it."""

    source: str
    """The source."""
    cut: float | None
    """The share of the base that makes an edge; None if the circuit was written into the weights."""
    edges: frozenset[Edge]
    effects: dict[Edge, float]
    """What was measured, in the metric's unit; empty for a planted circuit."""


def known_edges(model: ModelInfo, folder: Path, task: str, cut: float | None = None) -> KnownEdges | None:
    """Return the edges this exact model has for this task; None if none are measured or planted, or none passes.

    `cut`: another share of the base than the stored one; ignored for planted circuits.
    """
    planted = planted_edges(model, folder, task)
    if planted is not None:
        return KnownEdges(source="true by construction (docs/planted.md)", cut=None, edges=planted, effects={})
    try:
        found = msgspec.json.decode(bytes_of(folder / FILE), type=MeasuredEdgesFile)
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return None  # no file, or another file of that name
    if found.identity != model.identity or task not in found.tasks:
        return None
    measured = found.tasks[task]
    share = measured.cut if cut is None else cut
    effects = measured.by_edge(model.n_heads)
    edges = frozenset(edge for edge, effect in effects.items() if abs(effect) >= share * abs(measured.base))
    source = f"exact patching of every edge on {measured.pairs} pairs; {share:.1%} of the base"
    return KnownEdges(source=source, cut=share, edges=edges, effects=effects) if edges else None
