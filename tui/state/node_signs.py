"""The symbols of nodes, in the grid and in drawings of edges."""

KNOWN = "◆"
"""In the known circuit, or in the one laid over the grid."""
IDLE = "∅"
"""A head whose measured effect on the answer is below 5%."""
PINNED = "•"
"""Stays in the drawing, whatever is pruned."""
