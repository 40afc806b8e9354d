"""Recognise that torch ran out of memory."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if the error is torch running out of memory, on the CPU or on a GPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "not enough memory" in text or "out of memory" in text or "can't allocate memory" in text
    )
