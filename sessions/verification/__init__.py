"""Compare two executions of one run; no database.

May import: comparison.
"""

__all__ = ["checks", "report"]
