"""Bytes on the socket: line framing, socket folder, locks.

May import: root.
"""

__all__ = ["host_address", "lines", "socket_folder"]
