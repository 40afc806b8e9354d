"""Ready-made tasks, one generator per file, and the registry.

May import: root modules.
"""

__all__ = [
    "addition",
    "base",
    "docstring",
    "facts",
    "gendered_pronoun",
    "greater_than",
    "identifier_swap",
    "induction",
    "ioi",
    "recognise",
    "registry",
    "sequence_continuation",
    "word_classes",
    "words",
]
