"""The host process: socket server and lifetime.

Started as `python -m sessions.host`. May import: everything in sessions but client and recovery.
"""

__all__ = ["server"]
