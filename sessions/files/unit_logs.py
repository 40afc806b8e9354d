"""The logs of a sweep's units: one small file each, wherever the unit ran, with every try in it."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.machine.plain_file import append_plain, read_plain
from sessions.rows import SweepUnitRow

FAILED = "failed: "
"""How the line begins that says why a try failed."""
_MOST_BYTES = 64_000
"""Of one unit; when more is added, its end is kept."""
_KEPT_BYTES = 32_000
_MOST_FILES = 2_000
"""Of the folder; then the oldest are deleted."""


class UnitLog(msgspec.Struct, frozen=True):
    """What is known of one unit."""

    key: str
    """The unit's content key."""
    lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """True if its last try failed."""
        return bool(self.lines) and self.lines[-1].startswith(FAILED)


def unit_log(folder: Path, key: str) -> Path:
    """Return the path of a unit's log. `folder`: the one of all logs."""
    return folder / "units" / f"{key}.log"


def read_unit_logs(
    folder: Path,
    keys: Collection[str],
    recorded: Mapping[str, tuple[str, ...]] | None = None,
    *,
    most_lines: int | None = None,
) -> tuple[UnitLog, ...]:
    """Return the logs that these units left, those of failed ones first, else in the order of the keys.

    `recorded`: lines for units without a log, by key (`recorded_failures`). `most_lines`: leave out logs of units that
    did not fail once theirs have so many lines together.
    """
    failed, others, n_lines = list[UnitLog](), list[UnitLog](), 0
    for key in keys:
        try:
            lines = tuple(read_plain(unit_log(folder, key)).decode(errors="replace").splitlines())
        except OSError:
            lines = ()
        log = UnitLog(key, lines or (recorded or {}).get(key, ()))
        if log.failed:
            failed.append(log)
        elif log.lines and (most_lines is None or n_lines < most_lines):
            others.append(log)
            n_lines += len(log.lines)
    return (*failed, *others)


def recorded_failures(units: Iterable[SweepUnitRow]) -> dict[str, tuple[str, ...]]:
    """Return why units failed by the store, as lines of a log, by key: imported ones left no log on this machine."""
    return {
        unit.key: (
            f"--- run {unit.run_id} ({', '.join(f'{axis} {value}' for axis, value in unit.labels)})",
            FAILED + " ".join(f"{unit.failure.message} {unit.failure.hint}".split()),
        )
        for unit in units
        if unit.state == "failed" and unit.failure is not None
    }


def newest_units(folder: Path, most: int = 100) -> list[str]:
    """Return the keys of the units that logged last, the newest first."""
    try:
        paths = sorted((folder / "units").glob("*.log"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    except OSError:
        return []
    return [path.stem for path in paths[:most]]


class UnitLogs:
    """Writes the logs of units; a log that cannot be written stops nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: int | None = None
        """Number of files; None: not counted yet."""
        self._heads: dict[str, str] = {}
        """The last try in each log, by key."""
        self._open: set[str] = set()
        """Logs whose last line has no end yet."""

    def add(self, key: str, head: str, text: str) -> None:
        """Append what a try left, which may be a piece of it, under a line that names the try."""
        self._write(key, head, text, own_line=False)

    def failed(self, key: str, head: str, why: str) -> None:
        """Note why a try failed."""
        self._write(key, head, f"{FAILED}{' '.join(why.split())}\n", own_line=True)

    def done(self, key: str, head: str) -> None:
        """Note that the unit is done, if it has a log."""
        if key in self._heads or unit_log(self._folder, key).exists():
            self._write(key, head, "done\n", own_line=True)

    def _write(self, key: str, head: str, text: str, *, own_line: bool) -> None:
        with suppress(OSError):
            path = unit_log(self._folder, key)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                self._make_room(path.parent)
            elif path.stat().st_size + len(text) > _MOST_BYTES:
                end = read_plain(path)[-_KEPT_BYTES:].split(b"\n", 1)[-1]
                path.write_bytes(b"...\n" + end)
            begin = "" if self._heads.get(key) == head else f"--- {head}\n"
            if key in self._open and (begin or own_line):
                begin = f"\n{begin}"
            self._heads[key] = head
            with append_plain(path) as file:
                file.write(f"{begin}{text}".encode())
            if text.endswith("\n"):
                self._open.discard(key)
            else:
                self._open.add(key)

    def _make_room(self, folder: Path) -> None:
        """Delete the oldest tenth once there are too many files."""
        if self._files is None or self._files >= _MOST_FILES:
            paths = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
            gone = paths[: len(paths) - _MOST_FILES * 9 // 10] if len(paths) >= _MOST_FILES else []
            for path in gone:
                path.unlink(missing_ok=True)
            self._files = len(paths) - len(gone)
        self._files += 1
