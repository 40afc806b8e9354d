"""Which models exist and what is known of them without loading them; the words a download says.

Torch-free.
May import: root, machine, tasks.
"""
