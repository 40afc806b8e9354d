"""The model that stays in memory between runs."""

from collections.abc import Callable

from engine.models.loading import Model

Key = tuple[str, str, bool]
"""Name as asked for, device, whether remote code is trusted."""


class WarmModel:
    """Room for one model: the next run with the same one finds it warm; another one takes its place."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._model: Model | None = None

    def holds(self, key: Key) -> bool:
        """Whether the model is here already and its files are as they were."""
        return self._model is not None and self._key == key and self._stamp == _stamp(self._model)

    def take(self, key: Key, load: Callable[[], Model]) -> tuple[Model, bool]:
        """The model, and whether it was here already. A folder whose files changed is loaded again."""
        if self._model is not None and self.holds(key):
            return self._model, True
        self._model, self._key = None, None  # before loading, so that two models never stand in memory together
        model = load()
        self._model, self._key, self._stamp = model, key, _stamp(model)
        return model, False


def _stamp(model: Model) -> tuple[tuple[str, int, int], ...]:
    if not model.folder.is_dir():
        return ()
    files = [path for path in sorted(model.folder.iterdir()) if path.is_file()]
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
