"""Grade whether the model can do an example: rules, grader, drawing of usable pairs.

May import: root modules, capture, models, tasks.
"""

__all__ = ["grader", "rules", "usable_pairs"]
