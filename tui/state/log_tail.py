"""The end of a log file, followed as it grows."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.machine.plain_file import open_plain
from sessions.files.unit_logs import FAILED, newest_units, read_unit_logs, recorded_failures, unit_log
from sessions.rows import SweepUnitRow

_FIRST_BYTES = 256_000
_MOST_LINES = 5_000
_MOST_CHARACTERS = 4_000
"""Maximum length of a line; longer lines are cut with a remark."""
_LINE = re.compile(r"\d{4}-\d\d-\d\d[ T](?P<clock>\d\d:\d\d:\d\d)([,.]\d+)? \d+ (?P<level>[A-Z]+) (?P<who>[\w.]+): ")


class LogLine(msgspec.Struct, frozen=True):
    """One line, parsed if it is in Headcode's format."""

    text: str
    clock: str = ""
    """Hours, minutes and seconds."""
    level: str = ""
    who: str = ""

    @property
    def grave(self) -> bool:
        return self.level in ("ERROR", "CRITICAL")


def parse_line(text: str, before: LogLine | None) -> LogLine:
    """Parse a line; one in another format, such as part of a traceback, belongs to the line before it."""
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_MOST_CHARACTERS]}… ({len(text)} characters)"
    found = _LINE.match(text)
    if found is None:
        return LogLine(text, level=before.level if before is not None else "")
    who = found["who"].removeprefix("headcode.")
    return LogLine(text[found.end() :], clock=found["clock"], level=found["level"], who=who)


class LogTail:
    """A file's newest lines; `read` adds those written since."""

    from_the_end = True
    """Whether its newest lines are what one wants to see."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[LogLine] = []
        self.dropped = 0
        """Number of oldest lines that were discarded."""
        self._file: tuple[int, int] | None = None
        self._at = 0
        self._rest = b""

    def read(self) -> bool:
        """Read new lines and return whether there were any. A replaced file is read from its start."""
        try:
            status = self.path.stat()
        except OSError:
            return False
        file = (status.st_dev, status.st_ino)
        if file != self._file or status.st_size < self._at:
            again = self._file is not None
            self._file, self._rest = file, b""
            self._at = 0 if again else max(0, status.st_size - _FIRST_BYTES)
            cut = self._at > 0
        else:
            cut = False
        if status.st_size == self._at:
            return False
        try:
            with open_plain(self.path) as log:
                log.seek(self._at)
                chunk = log.read(status.st_size - self._at)
        except OSError:
            return False
        self._at += len(chunk)
        whole = self._rest + chunk
        *ended, self._rest = whole.split(b"\n")
        if len(self._rest) > _FIRST_BYTES:
            ended, self._rest = [*ended, self._rest], b""
        for line in ended[1:] if cut else ended:
            text = line.decode("utf-8", "replace").rstrip("\r")
            self.lines.append(parse_line(text, self.lines[-1] if self.lines else None))
        if len(self.lines) > _MOST_LINES:
            gone = len(self.lines) - _MOST_LINES
            self.dropped += gone
            del self.lines[:gone]
        return bool(ended)


class UnitLogsTail:
    """The logs of a sweep's units, one below the other, of failed units first; read again when one has changed."""

    from_the_end = False

    def __init__(self, folder: Path, units: Sequence[SweepUnitRow] | None = None) -> None:
        """`folder`: of all logs. `units`: whose; None: those that logged last, of any sweep."""
        self._folder, self._recorded = folder, recorded_failures(units or ())
        keys = self._keys = None if units is None else [unit.key for unit in units]
        self.path = unit_log(folder, keys[0]) if keys is not None and len(keys) == 1 else folder / "units"
        self.lines: list[LogLine] = []
        self.dropped = 0
        """Counts how often the lines were replaced."""
        self._seen: object = None

    def read(self) -> bool:
        """Read the logs if any has changed, and return whether it has."""
        keys = newest_units(self._folder) if self._keys is None else self._keys
        seen = [(key, _stamp(unit_log(self._folder, key))) for key in keys]
        if seen == self._seen:
            return False
        self._seen = seen
        self.dropped += 1
        logs = read_unit_logs(self._folder, keys, self._recorded, most_lines=_MOST_LINES)
        lines = [line for each in logs for line in (*each.lines, "")]
        self.lines = [_unit_line(line) for line in lines[:_MOST_LINES]]
        return True


def _unit_line(text: str) -> LogLine:
    failed = text.startswith(FAILED)
    return LogLine(text[:_MOST_CHARACTERS], level="ERROR" if failed else "WARNING" if text.startswith("--- ") else "")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
