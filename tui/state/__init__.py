"""What the screens show, without a widget: session, runs, view, marks, notes, time left.

May import: actions, terminal, themes.
"""
