"""Scores of heads and edges from integer codes, with numpy; the engine and the store use the same functions.

May import: root modules.
"""

__all__ = ["code_measures", "edge_scores"]
