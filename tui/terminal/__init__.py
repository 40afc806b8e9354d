"""Bytes to and from the terminal: sanitising, input driver, cell diff, SGR, idle GC.

May import: textual, rich only.
"""
