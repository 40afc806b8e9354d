"""Getting model files into place: convert, stage, PyPI, hub.

May import: root, catalog.
"""
