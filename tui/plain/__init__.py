"""The workbench in lines of text.

May import: headless, editor, connection, output, state and below; no widget.
"""
