"""What transformers reports about a model's weights after loading: missing ones would be random."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.errors import ModelError

_SHOWN = 3


class LoadReport:
    """Weights missing in the loaded files, or of another shape; tied ones excluded."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.unlike: list[tuple[str, Any, Any]] = []
        """(name, its shape in the files, its shape in the model) for each."""
        self.unexpected: set[str] = set()
        """Tensors that only the files have."""

    def check(self, name: str) -> None:
        """Check that every weight came from the files. Raises ModelError with what is wrong."""
        if self.unlike:
            key, given, wanted = sorted(self.unlike)[0]
            more = f" ({len(self.unlike)} such tensors)" if len(self.unlike) > 1 else ""
            raise ModelError(
                f"{name} does not fit its own settings: {key} is {_shape(given)} in its weights, and {_shape(wanted)} "
                f"by its settings{more}.",
                hint="Its settings and its weights belong to different models, or to a kind unknown to transformers.",
            )
        if self.missing:
            raise ModelError(
                f"{name} lacks {len(self.missing)} of the model's tensors: {some_of(sorted(self.missing))}.",
                hint="They would be random. Download the model again, with all parts of its weights.",
            )


@contextmanager
def load_report() -> Iterator[LoadReport]:
    """Within the context, record what transformers reports about loaded weights, even if its logger is silent."""
    from transformers import modeling_utils

    report = LoadReport()
    place = "log_state_dict_report"
    plain = getattr(modeling_utils, place, None)

    def keep(*args: Any, **given: Any) -> Any:
        info = given.get("loading_info")
        report.missing |= set(getattr(info, "missing_keys", None) or ())
        report.unexpected |= set(getattr(info, "unexpected_keys", None) or ())
        report.unlike += list(getattr(info, "mismatched_keys", None) or ())
        return plain(*args, **given) if plain is not None else None

    if plain is None:  # another version of transformers, which reports differently
        yield report
        return
    setattr(modeling_utils, place, keep)
    try:
        yield report
    finally:
        setattr(modeling_utils, place, plain)


def some_of(names: Iterable[str]) -> str:
    """Return the first of the names and the number of the rest."""
    names = list(names)
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _shape(size: Any) -> str:
    return " x ".join(str(int(each)) for each in size)
