"""Import TransformerLens without the libraries that it imports and Headcode never calls."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_UNUSED = ("datasets", "datasets.arrow_dataset", "datasets.iterable_dataset", "datasets.load", "pandas")
"""Names of modules that TransformerLens 4.3 imports for its evaluations and tables: a fifth of its time and 90 MB."""


class _Absent(ModuleType):
    """A module that has every name, as an empty class: what is imported from it serves as a type only."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "Left out by engine.models.light_imports.")
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None, is_package=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = type(name, (), {})
        setattr(self, name, found)
        return found


@contextmanager
def without(names: tuple[str, ...]) -> Iterator[None]:
    """Within the context, importing these modules gives empty ones unless they are loaded; later imports are real."""
    placed = {name: _Absent(name) for name in names if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def import_bridge() -> None:
    """Import TransformerBridge. Must come before any other import of transformer_lens."""
    if "transformer_lens" in sys.modules:
        return
    with without(_UNUSED):
        importlib.import_module("transformer_lens.model_bridge")
