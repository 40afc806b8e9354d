"""Maintainers' scripts that made the shipped model and references.

Nothing at run time imports this; leave it out of the wheel.
May import: everything in engine but worker.
"""
