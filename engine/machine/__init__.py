"""What this machine is: folders, paths, memory, CPU.

Torch-free.
May import: nothing of ours.
"""
