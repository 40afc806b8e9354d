"""Explain a code: the shortest prompts that keep it, what can stand in each place, and how well that predicts it.

May import: root modules, capture, models, sae, tasks, tensors.
"""

__all__ = [
    "alternatives",
    "columns",
    "explanation",
    "matching",
    "patterns",
    "prediction",
    "prompt_sets",
    "shortening",
    "ties",
    "trials",
    "words",
]
