"""Known circuits and known edges, read from files (also in the JSON folders here).

Torch-free. May import: root modules, catalog, tasks.
"""
