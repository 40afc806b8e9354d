"""Answer requests: one function per request, one file per subject, and the dispatch table.

May import: bundle, edits, files, protocol, services, store, verification.
"""

__all__ = [
    "births",
    "bundles",
    "comparison",
    "context",
    "disk_reserve",
    "effects",
    "grading",
    "head_inspection",
    "node_parts",
    "preflight",
    "replay",
    "run_options",
    "sessions",
    "table",
    "verification",
]
