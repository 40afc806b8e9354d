"""Measure what a node does through each later node: exact path patching of its edges, layer by layer."""

from pathlib import Path

from engine.events import Monitor
from engine.models.warm_model import WarmModel
from engine.node_parts import ThroughEffect
from engine.nodes import NodeId
from engine.patching.edge_patching import measure_edges
from engine.protocol import MeasureThrough, ThroughMeasured
from engine.worker.measure_places import check_node, prepare_parts, within_memory

_DIGITS = 5


def measure_through(request: MeasureThrough, warm_model: WarmModel, monitor: Monitor) -> ThroughMeasured:
    """Measure the node's effect through each later node. Raises NoSuchNode, and what `prepare_parts` raises."""

    def measure() -> ThroughMeasured:
        source = NodeId(request.layer, request.head)
        model, _ = warm_model.take(request.model, Path(request.models), request)
        check_node(model, source)
        prepared = prepare_parts(request, warm_model, monitor, unequal=True)
        inputs, layout = prepared.inputs, prepared.passes.layout
        later = [node for node in layout.ids if layout.place(node) > layout.place(source)]
        targets = [node for node in later if not request.layers or node.layer in request.layers]
        found = []
        if targets:
            metrics = measure_edges(prepared.passes, inputs, [(source, target) for target in targets])
            for target, changes in zip(targets, metrics - inputs.base_by_row, strict=True):
                error = None if len(changes) < 2 else round(float(changes.std() / len(changes) ** 0.5), _DIGITS)
                effect = round(float(changes.mean()), _DIGITS)
                found.append(ThroughEffect(layer=target.layer, head=target.head, effect=effect, error=error))
        return ThroughMeasured(
            job=request.job,
            model=model.info,
            how=prepared.how(),
            base=round(inputs.base, _DIGITS),
            prompts=len(inputs),
            through=tuple(found),
        )

    return within_memory(measure, request)
