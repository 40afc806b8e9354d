"""Reading a damaged store and rebuilding it.

May import: root, files, store, transport.
"""
