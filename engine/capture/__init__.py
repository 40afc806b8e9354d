"""Activations of nodes: the forward pass, the disk cache, the position where pairs differ most.

May import: root modules, models, sae, tensors.
"""

__all__ = [
    "activation_cache",
    "batches",
    "code_reader",
    "direct_effects",
    "head_outputs",
    "layer_hooks",
    "node_reading",
    "pair_position",
    "prefix_trees",
    "prompts",
    "token_notices",
]
