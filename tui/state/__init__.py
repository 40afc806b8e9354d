"""State of the screens without widgets: session, runs, view, marked heads, notes, time left.

May import: actions, terminal, themes.
"""
