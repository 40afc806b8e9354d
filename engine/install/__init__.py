"""Get model files into place: convert, stage, PyPI, hub.

May import: root modules, catalog, machine, tensors.
"""

__all__ = [
    "convert",
    "gguf_config",
    "gguf_counts",
    "gguf_file",
    "gguf_import",
    "gguf_rope",
    "gguf_tokenizer",
    "hub",
    "hub_cache",
    "load_report",
    "model_check",
    "progress",
    "pypi",
    "staging",
    "weights_check",
]
