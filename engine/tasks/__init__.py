"""Ready-made tasks, one generator per file, and the registry.

May import: root modules.
"""
