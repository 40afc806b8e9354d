"""Compare two stored results; no database.

May import: root.
"""

__all__ = ["comparison", "example_diff", "rank_correlation", "seed_scores"]
