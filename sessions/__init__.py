"""One host process that owns the store, and the clients' side of it.

May import: the torch-free folders of engine; never tui.
"""

__all__ = [
    "client",
    "comparison",
    "condense",
    "errors",
    "events",
    "files",
    "ids",
    "protocol",
    "rows",
    "verification",
    "version",
]
