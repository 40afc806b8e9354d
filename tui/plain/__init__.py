"""Plain mode: the workbench as lines of text.

May import: headless, editor, connection, output, state and below; no widgets.
"""
