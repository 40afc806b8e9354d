"""Pure-Python readings of results: ranking, ranking metrics, effects folded into scores, card, run state, benchmark.

Torch-free.
May import: root, references.
"""
