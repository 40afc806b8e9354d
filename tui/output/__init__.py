"""Text renderers: run, grid, comparison, card, effects, bench, JSON, tables, pictures, progress.

May import: actions, terminal, themes.
"""
