"""Compare two stored results; no database.

May import: root.
"""
