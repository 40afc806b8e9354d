"""Known circuits: measured ones beside a model's weights or in the repository, published ones that come with a task."""

from pathlib import Path

from engine.errors import TaskError
from engine.references.ground_truth import CUTS, measured_reference, stored_circuits
from engine.references.measured import MeasuredReference
from engine.results import ModelInfo, Reference
from engine.tasks.registry import find_task


def known_circuit(model: ModelInfo, folder: Path, task: str | None) -> Reference | None:
    """Return the known circuit of this model for this task; None if there is none.

    A measured one counts only for exactly the weights it was measured on.
    """
    if task is None:
        return None
    circuit = stored_circuits(folder, model.identity).get(task)
    if circuit is not None:
        if circuit.planted:
            return Reference(
                name=f"{task}, planted",
                source="true by construction: these heads were written by hand (docs/planted.md)",
                heads=tuple(circuit.heads),
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
    try:
        published = dict(find_task(task).published)
    except TaskError:
        return None
    for name, reference in published.items():
        if name.lower() == model.name.lower():
            return reference
    return None


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
