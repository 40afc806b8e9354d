"""Causal effects: node and edge patching, attribution, metrics, circuit checks.

May import: root modules, analysis, authoring, capture, models, tasks, tensors.
"""

__all__ = [
    "attribution",
    "candidates",
    "circuit_checks",
    "edge_attribution",
    "edge_patching",
    "effects_stage",
    "forward",
    "inputs",
    "metrics",
    "neuron_patching",
    "node_patching",
    "other_side",
    "partial_forward",
    "places",
    "stream_grid",
]
