"""Causal effects: head and edge patching, attribution, metrics, circuit checks.

May import: root, analysis, capture, models, tasks, tensors.
"""
