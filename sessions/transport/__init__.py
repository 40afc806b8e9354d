"""Bytes on the socket: line framing, socket folder, locks.

May import: root.
"""
