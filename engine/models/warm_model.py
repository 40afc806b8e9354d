"""The model that stays in memory between runs."""

from pathlib import Path

import msgspec

from engine.config import LoadOptions, load_fields
from engine.models.loading import Model, load_model, resolve_load_options


class _Key(msgspec.Struct, frozen=True):
    name: str
    """As requested."""
    options: LoadOptions
    """Resolved, so that `auto` and the device it chooses are the same key."""


class WarmModel:
    """Holds one model in memory: the next run with it finds it loaded; another model replaces it."""

    def __init__(self) -> None:
        self._key: _Key | None = None
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._model: Model | None = None
        self.computed: object = None
        """What a job computed with the model and may use again; dropped with the model."""
        self.explainer: object = None
        """What explains the codes of the last run; likewise."""

    def holds(self, name: str, options: LoadOptions) -> bool:
        """Return True if the model is loaded and its files have not changed.

        Raises ConfigError for a device that is not available.
        """
        return self._holds(_key(name, options))

    def take(self, name: str, models: Path, options: LoadOptions) -> tuple[Model, bool]:
        """Return the model, and whether it was loaded already. A folder whose files changed is loaded again.

        Raises ModelError, and ConfigError for a device that is not available.
        """
        key = _key(name, options)
        if self._model is not None and self._holds(key):
            return self._model, True
        # Before loading, so that two models are never in memory together.
        self._model = self._key = self.computed = self.explainer = None
        model = load_model(name, models, key.options)
        self._model, self._key, self._stamp = model, key, _stamp(model)
        return model, False

    def _holds(self, key: _Key) -> bool:
        return self._model is not None and self._key == key and self._stamp == _stamp(self._model)


def _key(name: str, options: LoadOptions) -> _Key:
    # Requests are options too, and have more fields.
    return _Key(name, resolve_load_options(LoadOptions(**load_fields(options))))


def _stamp(model: Model) -> tuple[tuple[str, int, int], ...]:
    if not model.folder.is_dir():
        return ()
    files = [path for path in sorted(model.folder.iterdir()) if path.is_file()]
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
