"""The autoencoder: module, codes, contrast recipe, training.

May import: root, tensors.
"""
