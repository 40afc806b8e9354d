"""Models that also read images or sound: Headcode gives them text only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_preprocessors() -> Iterator[None]:
    """Within the context, TransformerLens loads no preprocessors of images and sound.

    Where one needs torchvision, TransformerLens would install it with pip, from the package index, without asking.
    """
    from transformer_lens.model_bridge.sources.transformers import source as module

    source: Any = module
    load = source.load_modality_processor
    source.load_modality_processor = lambda *_args, **_given: None
    try:
        yield
    finally:
        source.load_modality_processor = load
