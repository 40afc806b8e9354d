"""The example editor without a widget: buffer, edits, grades.

May import: state.
"""
