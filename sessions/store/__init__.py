"""The DuckDB store: connection, migrations, recorder, projections, queries, SQL console, log reader.

May import: root, comparison, files, verification.
"""
