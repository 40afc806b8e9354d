"""Activations of heads: the forward pass, the disk cache, the position where pairs differ most.

May import: root modules, models, tensors.
"""

__all__ = ["activation_cache", "head_outputs", "pair_position", "token_notices"]
