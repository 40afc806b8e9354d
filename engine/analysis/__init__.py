"""Pure-Python analysis of results: ranking, ranking metrics, effects as measures, card, run state, benchmark.

Torch-free. May import: root modules, references.
"""
