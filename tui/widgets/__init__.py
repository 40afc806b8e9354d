"""Widgets, one per file, looks beside it.

May import: actions, editor, output, replay, settings, state, terminal, themes.
"""
