"""Sweeps: what is computed over many runs."""

__all__ = ["transitions"]
