"""Text renderers: run, grid, comparison, card, effects, benchmark, JSON, tables, pictures, progress.

May import: actions, terminal, themes.
"""
