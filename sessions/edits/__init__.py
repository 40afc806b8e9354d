"""Changes that users make to sessions: examples, metadata, circuits, trash, deletable files.

May import: root, comparison, protocol, store.
"""
