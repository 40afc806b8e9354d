"""Ready-made tasks, one generator per file, and the registry.

May import: root modules.
"""

__all__ = [
    "base",
    "docstring",
    "gendered_pronoun",
    "greater_than",
    "induction",
    "ioi",
    "recognise",
    "registry",
    "sequence_continuation",
    "word_classes",
    "words",
]
