"""Whether the model can do an example: rules, grader, drawing usable pairs.

May import: root, capture, models, tasks.
"""
