"""Known circuits: measured ones beside a model's weights or in the repository, or published ones."""

from pathlib import Path

from engine.nodes import mlp
from engine.references.ground_truth import CUTS, measured_reference, stored_circuits
from engine.references.measured import MeasuredReference
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
        return Reference(
            name=f"{task}, measured",
            source=f"exact patching of every head on {circuit.pairs} pairs; "
            f"heads that move the metric by {circuit.cut:.0%} of its base",
            heads=tuple(circuit.heads),
        )
    found = measured_reference(model.name, task)
    if found is not None and found.able and found.identity == model.identity:
        return _from_repository(found)
    published = published_circuit(model.name, task)
    if published is None or published.misfit(model.n_layers, model.n_heads, model.d_model):
        return None
    return Reference(name=f"{task}, published", source=published.source, heads=published.heads)


def _from_repository(found: MeasuredReference) -> Reference:
    """Return the heads over the stricter of the default cuts, the largest first."""
    cut = CUTS[-1]
    sizes = {(layer, head): abs(effect) for layer, row in enumerate(found.effects) for head, effect in enumerate(row)}
    heads = sorted((head for head in sizes if sizes[head] >= cut * abs(found.base)), key=lambda head: -sizes[head])
    return Reference(
        name=f"{found.task}, measured",
        source=f"exact patching of every head on {found.prompts.used} pairs; "
        f"heads that move the metric by {cut:.0%} of its base",
        heads=tuple(heads),
    )
