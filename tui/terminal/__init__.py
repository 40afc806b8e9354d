"""Input and output of the terminal: sanitising, input driver, cell diff, SGR, garbage collection.

May import: textual, rich only.
"""
