"""Units on a Ray cluster: the executor, the driver process that speaks to Ray, the actors, and models sent to nodes.

The driver is a process of its own: Ray ends the process of a driver whose cluster is lost, which must not be the host.
May import: what sessions.sweeps may. ray is imported in the driver and on nodes only.
"""

__all__ = ["actor", "driver", "executor", "messages", "model_files", "nodes", "survey", "unit_queue"]
