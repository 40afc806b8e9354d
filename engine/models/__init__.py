"""A model in memory: loading, the warm model, byte tokens, and the `fetch` entry point.

May import: root modules, catalog, install, machine, planted.
"""
