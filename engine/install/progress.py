"""How a fetch speaks: one JSON line a word, and the growth of a folder as progress."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from engine.catalog.fetch_messages import FetchMessage, FetchNote, FetchProgress, FetchStage, FetchStarted
from engine.errors import Cancelled


class ProgressWriter:
    """Says words, one JSON line each; a caller that has gone counts as a stop."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.lock = threading.Lock()

    def say(self, word: FetchMessage) -> None:
        with self.lock:
            try:
                self.out.write(msgspec.json.encode(word) + b"\n")
                self.out.flush()
            except BrokenPipeError:
                raise Cancelled from None

    def stage(self, stage: FetchStage, total: int = 0, unit: str = "") -> None:
        self.say(FetchStarted(stage=stage, total=total, unit=unit))

    def progress(self, done: int) -> None:
        self.say(FetchProgress(done=done))

    def note(self, message: str) -> None:
        self.say(FetchNote(message=message))


@contextmanager
def watched(mouth: ProgressWriter, folder: Path, every_s: float = 0.2) -> Iterator[None]:
    """Reports how many bytes lie in the folder while somebody else fills it."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every_s):
            with suppress(OSError, Cancelled):
                mouth.progress(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
