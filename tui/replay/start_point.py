"""Start points of a replay, as typed by the user."""

import re
from datetime import datetime, timedelta
from typing import Protocol

from sessions.errors import NoSuchRecord
from sessions.rows import Marker, Timeline
from tui.replay.clock import ReplayClock

_PASSED = re.compile(r"\+(?:(\d+):)?(\d+):(\d{2})|\+(\d+)s?")
_HOUR = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_SHARE = re.compile(r"(\d{1,3})%")


class ReplayTimes(Protocol):
    """The times of a recording; a Player has them."""

    @property
    def times(self) -> Timeline: ...

    @property
    def clock(self) -> ReplayClock: ...

    @property
    def first(self) -> float: ...

    @property
    def last(self) -> float: ...


def start_of(text: str, recording: ReplayTimes) -> float:
    """Return the replay time of a run's number, `+5:30`, `14:02`, `50%`, or words of a marker.

    Raises NoSuchRecord with the accepted forms.
    """
    times, first, last = recording.times, recording.first, recording.last
    if found := _SHARE.fullmatch(text):
        return first + min(int(found[1]), 100) / 100 * (last - first)
    if found := _PASSED.fullmatch(text):
        hours, minutes, seconds, alone = (int(part or 0) for part in found.groups())
        passed = (hours * 3600 + minutes * 60 + seconds + alone) * 1_000_000
        return recording.clock.moment(recording.clock.recorded(first) + passed)
    if found := _HOUR.fullmatch(text):
        hour = (int(found[1]), int(found[2]), int(found[3] or 0))
        return recording.clock.moment(_next_hour(times.first_us, hour, text))
    marker = _marker(text, times.markers)
    if marker is None:
        raise NoSuchRecord(
            f"Nothing in session {times.session.name!r} matches {text!r}.",
            hint="--from takes a run's number, +5:30, 14:02:11, 50%, or words of a marker: edit, note, undo.",
        )
    return recording.clock.played(marker.seq, marker.at_us)


def _marker(text: str, markers: tuple[Marker, ...]) -> Marker | None:
    if text.isdecimal():
        return next((marker for marker in markers if marker.asked and marker.number == int(text)), None)
    words = text.casefold()
    return next((marker for marker in markers if words == marker.kind or words in marker.words.casefold()), None)


def _next_hour(first_us: int, hour: tuple[int, int, int], text: str) -> int:
    begun = datetime.fromtimestamp(first_us / 1e6)
    try:
        then = begun.replace(hour=hour[0], minute=hour[1], second=hour[2], microsecond=0)
    except ValueError:
        raise NoSuchRecord(f"{text} is not a time of day.", hint="Write it like 14:02 or 14:02:11.") from None
    if then < begun.replace(microsecond=0):
        then += timedelta(days=1)
    return int(then.timestamp() * 1e6)
