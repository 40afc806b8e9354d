"""Known circuits: measured ones beside a model's weights or in the repository, published ones that come with a task."""

from pathlib import Path

import msgspec

from engine.catalog.settings_file import bytes_of
from engine.errors import ModelError, TaskError
from engine.references.ground_truth import CUTS, measured_reference
from engine.references.measured import MeasuredReference
from engine.results import ModelInfo, Reference
from engine.tasks.registry import find_task

FILE = "circuits.json"


class _Circuit(msgspec.Struct):
    heads: list[tuple[int, int]]
    cut: float = 0.0
    pairs: int = 0
    planted: bool = False
    """True if the weights were written that way; nothing was measured."""
    edges: list[tuple[tuple[int, int], tuple[int, int]]] = []


class _Circuits(msgspec.Struct):
    schema: str
    identity: str
    tasks: dict[str, _Circuit]


def known_circuit(model: ModelInfo, folder: Path, task: str | None) -> Reference | None:
    """Return the known circuit of this model for this task; None if there is none.

    A measured one counts only for exactly the weights it was measured on.
    """
    if task is None:
        return None
    measured = _measured(folder)
    if measured and measured.identity == model.identity and task in measured.tasks:
        circuit = measured.tasks[task]
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


def planted_edges(
    model: ModelInfo, folder: Path, task: str
) -> frozenset[tuple[tuple[int, int], tuple[int, int]]] | None:
    """Return the edges that were written into this model for this task; None if it is not a planted one."""
    found = _measured(folder)
    if found is None or found.identity != model.identity:
        return None
    circuit = found.tasks.get(task)
    return frozenset(circuit.edges) if circuit is not None and circuit.planted else None


def _measured(folder: Path) -> _Circuits | None:
    try:
        return msgspec.json.decode(bytes_of(folder / FILE), type=_Circuits)
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return None  # no file, or another file of that name
