"""The model that stays in memory between runs."""

from collections.abc import Callable

from engine.models.loading import Model

Key = tuple[str, str, bool]
"""Name as requested, device, whether remote code is trusted."""


class WarmModel:
    """Holds one model in memory: the next run with it finds it loaded; another model replaces it."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._model: Model | None = None

    def holds(self, key: Key) -> bool:
        """Return True if the model is loaded and its files have not changed."""
        return self._model is not None and self._key == key and self._stamp == _stamp(self._model)

    def take(self, key: Key, load: Callable[[], Model]) -> tuple[Model, bool]:
        """Return the model, and whether it was loaded already. A folder whose files changed is loaded again."""
        if self._model is not None and self.holds(key):
            return self._model, True
        self._model, self._key = None, None  # before loading, so that two models are never in memory together
        model = load()
        self._model, self._key, self._stamp = model, key, _stamp(model)
        return model, False


def _stamp(model: Model) -> tuple[tuple[str, int, int], ...]:
    if not model.folder.is_dir():
        return ()
    files = [path for path in sorted(model.folder.iterdir()) if path.is_file()]
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
