"""What a run will be: option table, option values and text, presets, memory and time estimate, preflight.

Torch-free.
May import: root, catalog, machine.
"""
