"""Where models are made: a folder of its own beside the others, put in place by one rename.

Whatever happens there is either the whole model or none. Leftovers of a killed maker are folders that begin with a dot;
the next one removes them.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.catalog.local_models import BUNDLED, check_folder
from engine.catalog.planted_models import PLANTED
from engine.errors import ModelError

_PARTIAL = ".partial-"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")


@contextmanager
def workshop(models: Path, name: str) -> Iterator[Path]:
    """A folder beside the models to make one in; gone afterwards, whatever happens.

    It stays locked while this process lives: that is how a later fetch tells work under way from what a kill left.
    Raises ModelError where another process makes the same model.
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
    """Removes what killed fetches left; returns the folders' names."""
    swept: list[str] = []
    for folder in sorted(models.glob(f"{_PARTIAL}*")):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # somebody works in it
        else:
            shutil.rmtree(folder, ignore_errors=True)
            swept.append(folder.name)
        finally:
            os.close(lock)
    return swept


def put_in_place(made: Path, models: Path, name: str) -> Path:
    """Checks the made folder and renames it to its place. Raises ModelError for one that could not be used."""
    from engine.install.convert import check_weights
    from engine.install.model_check import check_model

    check_folder(made)
    check_weights(made)
    check_model(made, name)
    # Written data first, then the name: after a power cut the name must not stand for empty files.
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
    return ModelError(f"There is a model {name!r} already.", hint="Give this one another name: --name NAME")


def check_name(name: str, models: Path) -> str:
    """The name, when a model can have it. Raises ModelError for a crooked or taken one."""
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be a model's name.", hint="Letters, digits, dots, dashes and underlines: --name NAME"
        )
    if name == BUNDLED or name in PLANTED or (models / name).exists():
        raise name_taken(name)
    return name
