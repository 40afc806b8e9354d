"""Causal effects: head and edge patching, attribution, metrics, circuit checks.

May import: root modules, analysis, authoring, capture, models, tasks, tensors.
"""
