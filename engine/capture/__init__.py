"""Activations of nodes: the forward pass, the disk cache, the position where pairs differ most.

May import: root modules, models, sae, tensors.
"""

__all__ = ["activation_cache", "direct_effects", "head_outputs", "pair_position", "prompts", "token_notices"]
