"""Ordinary text for the atlas: corpora that travel with the program, files of the user's, and passages of them.

May import: machine, the vocabulary (engine/*.py). No torch.
"""

__all__ = ["corpora", "passages"]
