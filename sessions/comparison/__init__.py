"""Compare two stored results; no database.

May import: root.
"""

__all__ = ["circuit_sets", "comparison", "example_diff", "seed_scores"]
