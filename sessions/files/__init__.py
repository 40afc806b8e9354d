"""Files on disk other than the store: atomic writes, TOML edits, mounts, array files, host settings, logs.

May import: root.
"""
