"""Examples as people write them: text, CSV, templates, drafts, negatives, readiness.

Torch-free. May import: root modules, tasks.
"""

__all__ = [
    "csv_format",
    "distinct_pairs",
    "drafts",
    "negatives",
    "number_shifts",
    "readiness",
    "templates",
    "text_format",
    "variations",
    "word_substitution",
]
