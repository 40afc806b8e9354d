"""The host's long-lived parts: store writer, subscriptions, run queue, worker supervisor.

May import: root, files, protocol, store, transport.
"""

__all__ = [
    "fair_queue",
    "run_queue",
    "run_recording",
    "run_records",
    "subscriptions",
    "worker_exit",
    "worker_jobs",
    "worker_process",
    "worker_supervisor",
    "writer",
]
