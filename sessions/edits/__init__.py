"""What a person changes in a session: examples, metadata, circuits, trash, garbage.

May import: root, comparison, protocol, store.
"""
