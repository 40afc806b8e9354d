"""Random sources made from a seed and a purpose. Nothing here touches torch's global state."""

import hashlib

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a CPU generator that depends only on the seed and the purpose."""
    digest = hashlib.sha256(f"{purpose}/{seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
