"""Sweeps: axes and values, the units they expand to, a unit's content key, packs by model, fits over many runs.

Torch-free and pure: nothing here runs, stores or draws. May import: root modules, catalog, machine, planning, tasks.
"""

__all__ = [
    "axes",
    "births",
    "checkpoints",
    "content_key",
    "curves",
    "example_resamples",
    "expansion",
    "logistic",
    "packs",
    "plan",
    "pool",
    "run_measures",
    "series",
    "spec",
    "transitions",
    "values",
]
