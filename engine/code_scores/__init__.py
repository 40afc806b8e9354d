"""Scores of heads and edges from integer codes, with numpy; the engine and the store use the same functions.

May import: root modules.
"""

__all__ = ["agreement", "code_changes", "code_measures", "edge_scores", "families"]
