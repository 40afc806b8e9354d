"""Known circuits, read from files (also in the JSON folders here).

Torch-free. May import: root modules, catalog, tasks.
"""

__all__ = ["ground_truth", "known_circuits", "measured", "published"]
