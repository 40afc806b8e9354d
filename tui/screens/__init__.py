"""Screens and modal sheets, one per file, NAME.tcss beside NAME.py.

May import: widgets, headless and all below.
"""
