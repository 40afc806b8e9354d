"""Plan a run: option table, option values and text, presets, memory and time estimates, preflight.

Torch-free. May import: root modules, catalog, machine.
"""

__all__ = [
    "memory_estimate",
    "option_checks",
    "option_table",
    "option_text",
    "preflight",
    "presets",
    "run_options",
    "time_estimate",
]
