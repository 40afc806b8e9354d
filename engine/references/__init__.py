"""Known circuits and known edges, read from files.

Torch-free. (The JSON folders published/ and smollm2-135m/ stay here.)
May import: root, catalog, tasks.
"""
