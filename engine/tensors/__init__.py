"""Helpers of every torch file: seeded generators, number of threads, out-of-memory detection.

May import: torch only.
"""
