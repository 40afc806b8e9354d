"""Themes, colour maps, diverging colours.

May import: textual only.
"""
