"""Whole screens, one a file, its looks beside it."""
