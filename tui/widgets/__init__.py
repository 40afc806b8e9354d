"""Widgets, one per file.

May import: actions, editor, output, replay, settings, state, terminal, themes.
"""
