"""Machine facts: folders, paths, memory, CPU, processes.

Torch-free. May import: engine.errors only.
"""

__all__ = ["child_processes", "cpu", "folders", "memory", "paths", "plain_file"]
