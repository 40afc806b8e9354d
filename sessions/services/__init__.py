"""The host's long-lived parts: store writer, subscriptions, run queue, worker supervisor.

May import: root, files, protocol, store, transport.
"""
