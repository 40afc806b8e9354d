"""Read heads and MLPs on ordinary text: one forward pass over passages, metrics and contexts of every node.

May import: capture and everything below it.
"""

__all__ = ["contexts", "masks", "passages", "reading", "sums"]
