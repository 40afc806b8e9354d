"""Tensor measures of codes: node scores, edge scores, significance, stability, baselines, the score table.

May import: root modules, analysis, authoring, tensors.
"""

__all__ = ["baselines", "edge_scores", "node_scores", "resampling", "score_table", "significance", "stability"]
