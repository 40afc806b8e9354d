"""What a face needs to talk to the host: connect, start, ask, follow.

May import: root, protocol, transport.
"""
