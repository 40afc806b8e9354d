"""DuckDB: migrations, connection, projections, recorder, one query per question, SQL console, log reader.

May import: root, comparison, files, verification.
"""
