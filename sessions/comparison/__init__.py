"""Plain algebra over two stored results; no database.

May import: root.
"""
