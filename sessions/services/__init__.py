"""The host's long-lived parts: writer, subscriptions, run queue, worker process.

May import: root, files, protocol, store, transport.
"""
