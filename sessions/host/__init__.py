"""The host process: socket server, lifetime.

`python -m sessions.host` stays.
May import: everything in sessions but client and recovery.
"""
