"""What commands and plain mode do over the host without a screen: run, measure, export, read and write examples,
bench, fetch, repair.

May import: connection, output, replay, terminal.
"""
