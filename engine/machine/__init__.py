"""Machine facts: folders, paths, memory, CPU, processes.

Torch-free. May import: engine.errors only.
"""
