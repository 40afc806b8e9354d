"""Answer requests: one function per request, one file per subject, and the dispatch table.

May import: bundle, edits, files, protocol, services, store, verification.
"""
