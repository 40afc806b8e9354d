"""Export and import of one session as one file.

May import: root, edits, files, protocol, store.
"""
