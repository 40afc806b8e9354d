"""Maintainers' scripts that make what sessions/assets holds.

Not imported at run time and not in the wheel. May import: root, bundle, client, protocol.
"""

__all__ = ["record_first_session"]
