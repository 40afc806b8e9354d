"""Files on disk that are not the store: atomic write, TOML edit, mounts, array files, host settings, log files.

May import: root.
"""
