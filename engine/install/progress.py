"""Messages of a fetch, one JSON line each, and the growth of a folder as progress."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from engine.catalog.fetch_messages import FetchMessage, FetchNote, FetchProgress, FetchStage, FetchStarted
from engine.errors import Cancelled


class ProgressWriter:
    """Writes messages, one JSON line each; a closed pipe counts as a cancellation."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.lock = threading.Lock()

    def write(self, message: FetchMessage) -> None:
        with self.lock:
            try:
                self.out.write(msgspec.json.encode(message) + b"\n")
                self.out.flush()
            except BrokenPipeError:
                raise Cancelled from None

    def stage(self, stage: FetchStage, total: int = 0, unit: str = "") -> None:
        self.write(FetchStarted(stage=stage, total=total, unit=unit))

    def progress(self, done: int) -> None:
        self.write(FetchProgress(done=done))

    def note(self, message: str) -> None:
        self.write(FetchNote(message=message))


_EVERY_S = 0.2
"""Seconds between two reports."""


@contextmanager
def report_growth(writer: ProgressWriter, folder: Path) -> Iterator[None]:
    """Within the context, report how many bytes are in the folder while other code fills it."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            with suppress(OSError, Cancelled):
                writer.progress(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
