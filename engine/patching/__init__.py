"""Causal effects: node and edge patching, attribution, metrics, circuit checks.

May import: root modules, analysis, authoring, capture, models, tasks, tensors.
"""

__all__ = [
    "attribution",
    "candidates",
    "circuit_checks",
    "directions",
    "dose_response",
    "edge_attribution",
    "edge_patching",
    "effects_stage",
    "forward",
    "generation",
    "inputs",
    "metrics",
    "neuron_patching",
    "node_patching",
    "other_side",
    "partial_forward",
    "places",
    "steering_edits",
    "stream_grid",
]
