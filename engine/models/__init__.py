"""A model in memory: loading, the warm model, byte tokens, and the `fetch` entry point.

May import: root, catalog, install, machine, planted.
"""
