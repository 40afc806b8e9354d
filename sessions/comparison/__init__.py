"""Compare two stored results; no database.

May import: root.
"""

__all__ = ["comparison", "example_diff", "seed_scores"]
