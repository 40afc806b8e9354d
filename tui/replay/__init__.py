"""Replay of a recorded session into the state.

May import: connection, state.
"""
