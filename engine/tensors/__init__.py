"""Helpers of every torch file: seeded generators, number of threads, out-of-memory detection.

May import: torch only.
"""

__all__ = ["generators", "out_of_memory", "threads"]
