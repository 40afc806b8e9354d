"""Examples as people write them: text, CSV, templates, drafts, negatives, readiness.

Torch-free. May import: root modules, tasks.
"""
