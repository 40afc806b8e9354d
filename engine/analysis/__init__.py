"""Pure-Python analysis of results: ranking, ranking metrics, effects as measures, card, run state, benchmark.

Torch-free. May import: root modules, references.
"""

__all__ = [
    "baseline_comparison",
    "benchmark",
    "card",
    "effects",
    "ground_truth",
    "rank_correlation",
    "ranking",
    "ranking_metrics",
    "run_state",
]
