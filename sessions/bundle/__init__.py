"""Export a session to one file and import it.

May import: root, edits, files, protocol, store.
"""
