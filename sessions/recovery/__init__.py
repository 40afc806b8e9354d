"""Read a damaged store and rebuild it.

May import: root, files, store, transport.
"""

__all__ = ["repair", "rescue", "salvage"]
