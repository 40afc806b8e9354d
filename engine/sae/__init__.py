"""The sparse autoencoder: module, codes, contrast recipe, training.

May import: root modules, tensors.
"""

__all__ = ["autoencoder", "codes", "contrast", "frozen_input", "node_codes", "stored", "training"]
