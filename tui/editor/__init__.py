"""The example editor without widgets: buffer, edits, grades, generated pairs.

May import: state.
"""
