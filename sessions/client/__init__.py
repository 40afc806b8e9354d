"""The client's side of the host: connect or start it, send requests, follow logs.

May import: root, protocol, transport.
"""

__all__ = ["connection", "launch"]
