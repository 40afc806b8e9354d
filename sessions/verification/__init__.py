"""How two executions of one run are judged; no database.

May import: comparison.
"""
