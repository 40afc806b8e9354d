"""Keeping the state in step with the host.

May import: state.
"""
