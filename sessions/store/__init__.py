"""The DuckDB store: connection, migrations, recorder, projections, queries, SQL console, log reader.

May import: root, comparison, files, verification.
"""

__all__ = [
    "audit",
    "circuits",
    "comparison_choices",
    "comparison_sides",
    "connection",
    "database",
    "effects",
    "file_check",
    "file_identity",
    "group_commit",
    "log_reader",
    "memory_growth",
    "migrations",
    "projections",
    "queries",
    "recorder",
    "refold",
    "rerun",
    "run_artifacts",
    "search",
    "sql_console",
    "sweep_measures",
    "views",
]
