"""Make models in a folder of its own beside the others, and rename it into place.

The result is the whole model or nothing. Leftovers of a killed process are folders that begin with a dot; the next one
removes them.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.catalog.local_models import check_folder, is_bundled
from engine.catalog.planted_models import PLANTED
from engine.errors import ModelError

_PARTIAL = ".partial-"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


@contextmanager
def workshop(models: Path, name: str) -> Iterator[Path]:
    """Within the context, provide a folder beside the models to make one in; it is deleted afterwards.

    It is locked while this process lives: so a later fetch can tell work in progress from leftovers. Raises ModelError
    if another process makes the same model.
    """
    models.mkdir(parents=True, exist_ok=True)
    sweep(models)
    if any(models.glob(f"{_PARTIAL}{name}-*")):
        raise ModelError(f"Another process is making {name!r}.", hint="Wait for it, or end it.")
    folder = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{name}-", dir=models))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(models: Path) -> list[str]:
    """Remove the leftovers of killed fetches; return the folders' names."""
    swept: list[str] = []
    for folder in sorted(models.glob(f"{_PARTIAL}*")):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use by another process
        else:
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder.name)
        finally:
            os.close(lock)
    return swept


def put_in_place(made: Path, models: Path, name: str) -> Path:
    """Check the folder and rename it into place. Raises ModelError if the model could not be used."""
    from engine.install.convert import check_weights
    from engine.install.model_check import check_model

    check_folder(made)
    check_weights(made)
    check_model(made, name)
    # Data first, then the name: after a power failure the name must not refer to empty files.
    for path in [*made.iterdir(), made]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    made.chmod(0o755)
    final = models / name
    try:
        made.replace(final)
    except OSError as error:
        if final.exists():
            raise name_taken(name) from error
        raise
    return final


def name_taken(name: str) -> ModelError:
    """Return the error for a model name that exists."""
    return ModelError(f"There is a model {name!r} already.", hint="Give this one another name: --name NAME")


def check_name(name: str, models: Path) -> str:
    """Return the name if a model can have it. Raises ModelError for an invalid or taken one."""
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be a model's name.", hint="Letters, digits, dots, dashes and underlines: --name NAME"
        )
    if is_bundled(name) or name in PLANTED or (models / name).exists():
        raise name_taken(name)
    return name
