"""Significance, stability, baselines and the score table of a run, with torch.

May import: root modules, analysis, authoring, code_scores, tensors.
"""

__all__ = [
    "baselines",
    "code_occurrences",
    "direct_effects",
    "merging",
    "resampling",
    "score_table",
    "significance",
    "stability",
]
