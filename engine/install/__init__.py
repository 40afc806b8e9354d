"""Get model files into place: convert, stage, PyPI, hub.

May import: root modules, catalog, machine, tensors.
"""
