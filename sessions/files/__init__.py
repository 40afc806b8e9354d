"""Files on disk other than the store: atomic writes, TOML edits, mounts, array files, host settings, logs.

May import: root.
"""

__all__ = [
    "array_files",
    "atomic_write",
    "disk_space",
    "host_settings",
    "journal",
    "log_files",
    "mounts",
    "placing",
    "store_exchange",
    "toml_edit",
    "unit_logs",
]
