"""The connection of the state to the host: requests, following the log, recording views and options.

May import: state.
"""
