"""Changes that users make to sessions: examples, metadata, circuits, trash, deletable files.

May import: root, comparison, protocol, store.
"""

__all__ = ["circuits", "examples", "garbage", "metadata", "trash"]
