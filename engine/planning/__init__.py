"""Plan a run: option table, option values and text, presets, memory and time estimates, preflight.

Torch-free. May import: root modules, catalog, machine.
"""
