"""The two helpers every torch file shares: seeded generators, thread count.

May import: torch only.
"""
