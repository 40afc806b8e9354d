"""A model in memory: loading, the warm model, byte tokens, and the `fetch` entry point.

May import: root modules, catalog, install, machine, planted.
"""

__all__ = [
    "answer_directions",
    "byte_tokens",
    "contributions",
    "falcon",
    "fetch",
    "head_layout",
    "kv_cache",
    "light_imports",
    "loading",
    "mlps",
    "neurons",
    "rotary",
    "text_only",
    "tokens",
    "warm_model",
]
