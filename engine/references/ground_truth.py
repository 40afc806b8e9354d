"""Ground truth for judging rankings: the heads and edges of a task's circuit in a model, and its source."""

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from engine.catalog.local_models import ADDER, BUNDLED, ModelSource, model_identity, read_summary
from engine.catalog.planted_models import PLANTED
from engine.catalog.settings_file import bytes_of
from engine.errors import ConfigError, ModelError
from engine.nodes import NodeChoice, NodeId
from engine.references.measured import FOLDER, MeasuredReference, effects_by_node, file_of, over_the_cut
from engine.references.published import PUBLISHED, PublishedCircuit, all_published, names_of

Level = Literal["heads", "mlps", "nodes", "edges"]
"""What is judged: heads, MLPs, both together (nodes), or edges."""
LEVEL_WORDS: dict[Level, str] = {"heads": "heads", "mlps": "MLPs", "nodes": "heads and MLPs", "edges": "edges"}
LEVELS = tuple(LEVEL_WORDS)
Head = tuple[int, int]
Edge = tuple[Head, Head]

BUNDLED_CUTS = (0.05,)
CUTS = (0.02, 0.04)
"""Cuts of a measured reference: a head is in the circuit if replacing it moves the metric by this share of its base.

In SmolLM2 few heads move a twentieth of the base (docs/lab/2026-11-21-measured-references.md).
"""
CIRCUITS = "circuits.json"
"""Measured effects beside a model's weights."""


class GroundTruth(msgspec.Struct, frozen=True, kw_only=True):
    """The heads, the heads and MLPs, or the edges, that count as correct."""

    level: Level
    cut: float | None
    """The share of the base that counts; None if the source decided."""
    source: str
    heads: frozenset[Head] = frozenset()
    """Heads and MLPs (engine.nodes), by level."""
    edges: frozenset[Edge] = frozenset()
    covers: NodeChoice = "heads"
    """Of edges: heads, or all: edges into and out of MLPs are known, too. None begins at the embedding."""


def at_levels(truths: Sequence[GroundTruth], levels: Collection[Level]) -> tuple[GroundTruth, ...]:
    """Return the ground truths for these levels.

    Where nothing is known about MLPs, a circuit's nodes are its heads. At `mlps` there is nothing for circuits
    without any.
    """
    with_mlps = [truth for truth in truths if truth.level == "nodes"]
    nodes = with_mlps or [truth for truth in truths if truth.level == "heads"]
    found = {
        "heads": [truth for truth in truths if truth.level == "heads"],
        "mlps": [replace(truth, level="mlps", heads=mlps) for truth in with_mlps if (mlps := _mlps(truth.heads))],
        "nodes": nodes,
        "edges": [truth for truth in truths if truth.level == "edges"],
    }
    chosen = [truth for level in LEVELS if level in levels for truth in found[level]]
    return tuple(dict.fromkeys(chosen))


class _StoredCircuit(msgspec.Struct):
    """The fields of a task in circuits.json that are read; a planted circuit has only heads and edges."""

    heads: list[Head] = []
    cut: float = 0.0
    planted: bool = False
    """True if the weights were written that way; nothing was measured."""
    base: float = 0.0
    pairs: int = 0
    effects: list[list[float]] = []
    others: dict[str, float] = {}
    """Effects of MLPs and the embedding by node: m8, emb."""
    edges: list[Edge] = []
    mlps: list[int] = []
    """Layers of the MLPs of a planted circuit; a measured one has none."""


class _CircuitsFile(msgspec.Struct):
    identity: str
    tasks: dict[str, _StoredCircuit]


def reference_models() -> tuple[str, ...]:
    """Return the names of all models with known circuits, the bundled ones first."""
    measured = sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path != PUBLISHED)
    published = sorted({each.models[0] for each in all_published()})
    return tuple(dict.fromkeys((BUNDLED, ADDER, *PLANTED, *measured, *published)))


def check_model(name: str) -> str:
    """Return the name if something is known of that model. Raises ConfigError with the list."""
    known = reference_models()
    if name not in known and not names_of(name):
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        guess = f"Did you mean {close[0]}? " if close else ""
        raise ConfigError(
            f"There is no reference circuit of the model {name[:80]!r}.", hint=f"{guess}There are: {', '.join(known)}."
        )
    return name


class KnownGroundTruths(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one model: ground truths by task, and why others cannot be used."""

    truths: dict[str, tuple[GroundTruth, ...]]
    left_out: dict[str, str]


def known_truths(model: str, folder: Path | None, cuts: Sequence[float] | None = None) -> KnownGroundTruths:
    """Return everything known of that model.

    `folder`: its weights; None: not on this machine (published and planted circuits need none). `cuts`: other shares of
    the base than the defaults.
    """
    if model in PLANTED:
        return KnownGroundTruths(truths=_planted(model), left_out={})
    truths: dict[str, tuple[GroundTruth, ...]] = {}
    left_out: dict[str, str] = {}
    identity = model_identity(folder) if folder is not None else ""
    for reference in _all_measured(model):
        if reference.identity != identity:
            left_out[reference.task] = "measured on other weights than those on this machine"
        elif not reference.able:
            prompts = reference.prompts
            left_out[reference.task] = f"the model cannot do it: {prompts.usable} of {prompts.drawn} pairs are usable"
        else:
            pairs = reference.prompts.used
            truths[reference.task] = _cut(reference.effects, reference.others, reference.base, cuts or CUTS, pairs)
    stored = stored_circuits(folder, identity) if folder is not None else {}
    for task, found in stored.items():
        truths[task] = _cut(found.effects, found.others, found.base, cuts or BUNDLED_CUTS, found.pairs)
        if found.edges:
            by = f"exact patching of every edge on {found.pairs} pairs"
            truths[task] += (GroundTruth(level="edges", cut=None, source=by, edges=frozenset(found.edges)),)
    for published in all_published():
        if model not in published.models or published.task in truths:
            continue
        if why := _misfit(published, model, folder):
            left_out[published.task] = why
        else:
            truths[published.task] = (
                GroundTruth(level="heads", cut=None, source=published.source, heads=frozenset(published.heads)),
                GroundTruth(
                    level="edges",
                    cut=None,
                    source=published.source,
                    edges=frozenset((*published.edges, *published.mlp_edges)),
                    covers="all" if published.mlp_edges else "heads",
                ),
            )
            if published.mlps:
                nodes = frozenset(published.nodes)
                truths[published.task] += (GroundTruth(level="nodes", cut=None, source=published.source, heads=nodes),)
    return KnownGroundTruths(truths=truths, left_out=left_out)


def stored_circuits(folder: Path, identity: str) -> dict[str, _StoredCircuit]:
    """Return the circuits stored beside a model's weights by task; none if they belong to other weights."""
    try:
        found = msgspec.json.decode(bytes_of(folder / CIRCUITS), type=_CircuitsFile)
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return {}  # no file, or another file of that name
    return found.tasks if found.identity == identity else {}


def measured_reference(model: str, task: str) -> MeasuredReference | None:
    """Return the effects in the repository for that model and task, regardless of the weights they were measured on."""
    try:
        return msgspec.json.decode(file_of(model, task).read_bytes(), type=MeasuredReference)
    except (OSError, ValueError):
        return None  # no file, or not one of ours


def _all_measured(model: str) -> list[MeasuredReference]:
    folder = FOLDER / model
    if "/" in model or folder == PUBLISHED or not folder.is_dir():
        return []
    return [found for path in sorted(folder.glob("*.json")) if (found := measured_reference(model, path.stem))]


def _misfit(published: PublishedCircuit, model: str, folder: Path | None) -> str:
    """Return why the folder does not hold the published circuit's model; empty if it may, or without a folder."""
    if folder is None:
        return ""
    about = read_summary(ModelSource(name=model, origin="folder", folder=folder))
    return published.misfit(about.n_layers, about.n_heads, about.d_model)


def _planted(model: str) -> dict[str, tuple[GroundTruth, ...]]:
    source = "true by construction"
    return {
        circuit.task: (
            GroundTruth(level="heads", cut=None, source=source, heads=frozenset(circuit.heads)),
            GroundTruth(
                level="edges",
                cut=None,
                source=source,
                edges=frozenset(circuit.node_edges),
                covers="all" if circuit.mlps else "heads",
            ),
            GroundTruth(level="nodes", cut=None, source=source, heads=frozenset(circuit.nodes)),
        )
        for circuit in PLANTED[model].circuits
    }


def _cut(
    heads: list[list[float]], others: dict[str, float], base: float, cuts: Sequence[float], pairs: int
) -> tuple[GroundTruth, ...]:
    """Return the heads over each cut; the heads and MLPs, too, where MLPs were measured."""
    levels: list[tuple[Level, str, dict[str, float]]] = [("heads", "head", {})]
    if others:
        levels.append(("nodes", "node", others))
    return tuple(
        GroundTruth(
            level=level,
            cut=cut,
            source=f"exact patching of every {node} on {pairs} pairs; {cut:.0%} of the base",
            heads=frozenset(over_the_cut(effects_by_node(heads, measured), cut, base)),
        )
        for level, node, measured in levels
        for cut in cuts
    )


def _mlps(nodes: Collection[Head]) -> frozenset[Head]:
    return frozenset(node for node in nodes if not NodeId(*node).is_head)
