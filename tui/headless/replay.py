"""Replay of a recorded session without a screen, at its recorded pace."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.errors import ConfigError
from engine.events import EngineEvent
from engine.machine.folders import find_folders
from engine.measures import Measure
from sessions.client.connection import HostClient
from sessions.events import LogEntry, RunEnded, RunQueued, RunStarted
from sessions.rows import Timeline
from tui.connection.requests import HostConnection
from tui.output.console import OutputStyle, print_line, write_data
from tui.output.progress import ProgressReporter
from tui.output.run import RunLabels, print_run
from tui.replay.clock import ReplayClock
from tui.replay.link import ReplayReader
from tui.replay.pages import LogPages
from tui.replay.player import ReplaySpan, span_of
from tui.replay.start_point import start_of

SCHEMA = "headcode.replay/1"
_SPEED = re.compile(r"(\d+(?:\.\d+)?)x?")
_SIZE = re.compile(r"(\d+)x(\d+)")


class RecordedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The session or run to replay."""

    target: str
    """As the user named it."""
    times: Timeline
    span: ReplaySpan
    clock: ReplayClock
    start: str | None

    @property
    def first(self) -> float:
        return self.clock.played(self.span.begin, self.span.begin_us)

    @property
    def last(self) -> float:
        return self.clock.played(self.span.end, self.span.end_us)

    @property
    def run_id(self) -> str | None:
        return self.times.run_id


def read_speed(text: str) -> float:
    """Parse a speed; inf for max. Raises ConfigError."""
    if text == "max":
        return math.inf
    found = _SPEED.fullmatch(text)
    if found is None or not 1 <= float(found[1]) <= 100:
        raise ConfigError(f"--speed {text} is not a speed.", hint="Give 1x to 100x, or max.")
    return float(found[1])


def read_size(text: str) -> tuple[int, int]:
    """Parse columns and rows. Raises ConfigError."""
    found = _SIZE.fullmatch(text)
    if found is None or not (40 <= int(found[1]) <= 400 and 12 <= int(found[2]) <= 150):
        raise ConfigError(
            f"--size {text} is not a valid screen size.", hint="Give 40x12 to 400x150, for example 160x48."
        )
    return int(found[1]), int(found[2])


def check_target(path: Path, *, force: bool) -> None:
    """Raise ConfigError if the file cannot be written, before anything is made."""
    if path.exists() and not force:
        raise ConfigError(f"{path} already exists.", hint="--force overwrites it.")
    if not path.parent.is_dir():
        raise ConfigError(f"There is no folder {path.parent}.", hint="Create it, or choose another place.")


async def connect() -> HostConnection:
    """Connect to the host of the default folders."""
    return await HostClient.connect(find_folders())


async def find_recorded_session(what: str, start: str | None) -> RecordedSession:
    """Find the recording. Raises NoSuchRecord if the store does not have it."""
    reader = ReplayReader(connect, what)
    try:
        times = await reader.times()
    finally:
        await reader.close()
    span = span_of(times, times.run_id)
    found = RecordedSession(target=what, times=times, span=span, clock=ReplayClock(times), start=start)
    if start is not None:
        start_of(start, found)
    return found


async def entries_of(found: RecordedSession, reader: ReplayReader, *, speed: float) -> AsyncIterator[LogEntry]:
    """Yield the entries, each at its time; for a run, only its own and the session's."""
    pages = LogPages(reader, found.times.last_seq)
    first = found.first if found.start is None else start_of(found.start, found)
    seq = 0
    if found.start is None:
        seq = found.span.begin - 1
    else:
        recorded = found.clock.recorded(first)
        piece = await reader.piece(after_seq=0, up_to_us=recorded, most_bytes=0)
        seq = min(max(piece.goal, found.span.begin), found.span.end) - 1
    begun = time.monotonic()
    try:
        while seq < found.span.end:
            for entry in await pages.after(seq):
                if entry.seq > found.span.end:
                    return
                wait = (found.clock.played(entry.seq, entry.at_us) - first) / 1e6 / speed
                if speed != math.inf and (left := begun + wait - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                seq = entry.seq
                if found.run_id is None or entry.run_id in (None, found.run_id):
                    yield entry
    finally:
        pages.close()


async def print_entries(found: RecordedSession, *, speed: float | None) -> None:
    """Print the entries as JSON lines on stdout, after a header line."""
    import sys

    row = found.times.session
    head = {"schema": SCHEMA, "session_id": row.session_id, "name": row.name, "run_id": found.run_id}
    write_data(msgspec.json.encode(head).decode() + "\n")
    reader = ReplayReader(connect, row.session_id)
    try:
        async for entry in entries_of(found, reader, speed=math.inf if speed is None else speed):
            write_data(msgspec.json.encode(entry).decode() + "\n")
            if speed is not None:
                sys.stdout.flush()
    finally:
        await reader.close()


async def replay_plain(
    found: RecordedSession, reporter: ProgressReporter, *, speed: float, measure: Measure, output: OutputStyle
) -> None:
    """Print every run as `headcode probe` does, and the session's other events between them."""
    reader = ReplayReader(connect, found.times.session.session_id)
    teller = _ReplayPrinter(found, reporter, measure, output)
    try:
        async for entry in entries_of(found, reader, speed=speed):
            teller.tell(entry)
    finally:
        await reader.close()


class _ReplayPrinter:
    def __init__(
        self, found: RecordedSession, reporter: ProgressReporter, measure: Measure, output: OutputStyle
    ) -> None:
        self.found, self.reporter, self.measure, self.output = found, reporter, measure, output
        self.words = {marker.seq: marker for marker in found.times.markers if marker.kind != "run"}
        self.numbers = {marker.run_id: marker.number for marker in found.times.markers if marker.asked}
        self.pictures: dict[str, RunSnapshot] = {}
        self.started_us: dict[str, int] = {}

    def tell(self, entry: LogEntry) -> None:
        event, run = entry.event, entry.run_id
        if isinstance(event, RunQueued) and run is not None:
            self.pictures[run] = RunSnapshot()
            self.reporter.say(f"session {self.found.times.session.name}, run {self.numbers[run]}")
        elif run in self.pictures and isinstance(event, EngineEvent):
            self.pictures[run] = fold_event(self.pictures[run], event, entry.at_us)
            self.reporter.event(event)
        elif run in self.pictures and isinstance(event, RunStarted):
            self.started_us[run] = entry.at_us
        elif run in self.pictures and isinstance(event, RunEnded):
            self._ended(run, event, entry.at_us)
        elif entry.seq in self.words and self.found.run_id is None:
            self.reporter.say(f"  {self.words[entry.seq].words}")

    def _ended(self, run: str, event: RunEnded, at_us: int) -> None:
        row, number = self.found.times.session, self.numbers[run] or 0
        if event.failure is not None:
            print_line(f"Run {number} {event.state}: {event.failure.message}")
            if event.failure.hint:
                print_line(f"  hint: {event.failure.hint}")
        labels = RunLabels(
            session=row.name,
            session_id=row.session_id,
            run_id=run,
            number=number,
            state=event.state,
            seconds=(at_us - self.started_us[run]) / 1e6 if run in self.started_us else None,
        )
        print_run(self.pictures.pop(run), labels, measure=self.measure, output=self.output)
