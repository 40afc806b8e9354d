"""Sweeps at work: the executors' interface, the local pool, units on other machines, gathering, the conductor.

May import: bundle, edits, services, store, protocol, files, root.
"""

__all__ = [
    "active_sweep",
    "conductor",
    "executor",
    "executors",
    "gather",
    "local_executor",
    "node",
    "on_ray",
    "on_slurm",
    "records",
    "version_check",
]
