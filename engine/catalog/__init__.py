"""Which models exist and what is known of them without loading them; the messages of a download.

Torch-free. May import: root modules, machine, tasks.
"""
