"""Write the host's and the worker's logs, which stay small."""

import logging
import logging.handlers
from contextlib import suppress
from pathlib import Path

from engine.machine.folders import AppFolders
from engine.machine.plain_file import append_plain

_MAX_BYTES = 1 << 20
_KEEP = 3


def host_log(places: AppFolders) -> Path:
    """Return the path of the host's log."""
    return places.logs / "host.log"


def worker_log(places: AppFolders) -> Path:
    """Return the path of the worker's log."""
    return places.logs / "worker.log"


def start_logging(places: AppFolders) -> None:
    """Send the host's log messages to its log file; a log that cannot be written stops nothing."""
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    with suppress(OSError):
        places.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        append_plain(host_log(places)).close()  # raises for a pipe, which would block the host
        handler = logging.handlers.RotatingFileHandler(
            host_log(places), maxBytes=_MAX_BYTES, backupCount=_KEEP, encoding="utf-8"
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)


class SizedLog:
    """A log file that is renamed to .1 when it has grown too large."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, chunk: bytes) -> None:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._path.exists() and self._path.stat().st_size > _MAX_BYTES:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            with append_plain(self._path) as file:
                file.write(chunk)
