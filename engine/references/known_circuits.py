"""Known circuits: measured ones beside a model's weights or in the repository, or published ones."""

from collections.abc import Mapping
from pathlib import Path

from engine.nodes import NodeId, mlp, only_heads
from engine.references.ground_truth import CUTS, measured_reference, stored_circuits
from engine.references.measured import effects_by_node, over_the_cut
from engine.references.published import published_circuit
from engine.results import ModelInfo, Reference


def known_circuit(model: ModelInfo, folder: Path, task: str | None) -> Reference | None:
    """Return the known circuit of this model for this task; None if there is none.

    A measured one counts only for exactly the weights it was measured on.
    """
    if task is None:
        return None
    circuit = stored_circuits(folder, model.identity).get(task)
    if circuit is not None:
        if circuit.planted:
            whole = model.nodes == "all"
            others = tuple(mlp(layer) for layer in circuit.mlps) if whole else ()
            return Reference(
                name=f"{task}, planted",
                source=f"true by construction: these {'nodes' if others else 'heads'} were written by hand "
                "(docs/planted.md)",
                heads=(*circuit.heads, *others),
                covers=model.nodes,
            )
        if model.nodes == "all" and circuit.others:
            effects = effects_by_node(circuit.effects, circuit.others)
            return _measured(task, effects, circuit.base, circuit.cut, circuit.pairs)
        return Reference(
            name=f"{task}, measured",
            source=f"exact patching of every head on {circuit.pairs} pairs; "
            f"heads that move the metric by {circuit.cut:.0%} of its base",
            heads=tuple(circuit.heads),
        )
    found = measured_reference(model.name, task)
    if found is not None and found.able and found.identity == model.identity:
        # The stricter of the default cuts.
        effects = effects_by_node(found.effects, found.others if model.nodes == "all" else {})
        return _measured(found.task, effects, found.base, CUTS[-1], found.prompts.used)
    published = published_circuit(model.name, task)
    if published is None or published.misfit(model.n_layers, model.n_heads, model.d_model):
        return None
    if model.nodes == "all" and published.mlps:
        return Reference(name=f"{task}, published", source=published.source, heads=published.nodes, covers="all")
    return Reference(name=f"{task}, published", source=published.source, heads=published.heads)


def _measured(task: str, effects: Mapping[NodeId, float], base: float, cut: float, pairs: int) -> Reference:
    """Return the nodes over the cut, the largest first."""
    heads_only = only_heads(effects)
    node = "head" if heads_only else "node"
    return Reference(
        name=f"{task}, measured",
        source=f"exact patching of every {node} on {pairs} pairs; "
        f"{node}s that move the metric by {cut:.0%} of its base",
        heads=tuple(over_the_cut(effects, cut, base)),
        covers="heads" if heads_only else "all",
    )
