"""Work of commands and plain mode over the host.

run, measure, export, read and write examples, benchmark, fetch, repair.

May import: connection, output, replay, terminal.
"""
