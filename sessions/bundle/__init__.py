"""Export a session to one file and import it.

May import: root, edits, files, protocol, store.
"""

__all__ = ["archive", "export", "first_session", "import_bundle", "log_checks", "parquet", "portable_log"]
