"""The clock of a replay: recorded time with long pauses shortened."""

from bisect import bisect_right

from sessions.rows import Timeline

PAUSE_US = 3_000_000
"""Maximum length of a stretch without entries, at speed 1."""


class ReplayClock:
    """Conversion between log entries and microseconds of replay. Moment 0 is the log's first entry."""

    def __init__(self, times: Timeline) -> None:
        self._first_us = times.first_us
        self._seqs = [pause.seq for pause in times.pauses]
        self._starts: list[float] = []
        """Start of each pause, in replay time."""
        self._saved: list[float] = []
        """Total time cut from the pauses up to and including this one."""
        self._pauses = times.pauses
        saved = 0.0
        for pause in times.pauses:
            length = pause.to_us - pause.from_us
            self._starts.append(pause.from_us - self._first_us - saved)
            # If the clock was set back, the replay continues without a gap.
            saved += length - shown(length)
            self._saved.append(saved)
        self.total = self.played(times.last_seq, times.last_us)

    def played(self, seq: int, at_us: int) -> float:
        """Return the replay time of an entry in microseconds."""
        place = bisect_right(self._seqs, seq)
        return at_us - self._first_us - (self._saved[place - 1] if place else 0.0)

    def recorded(self, played: float) -> int:
        """Return the recorded wall-clock time at a moment of the replay; it runs faster in a shortened pause."""
        place = bisect_right(self._starts, played)
        if not place:
            return self._first_us + round(played)
        pause = self._pauses[place - 1]
        length = pause.to_us - pause.from_us
        inside = played - self._starts[place - 1]
        if inside < shown(length):
            return pause.from_us + round(inside / shown(length) * length)
        return self._first_us + round(played + self._saved[place - 1])

    def moment(self, at_us: int) -> float:
        """Return the replay time of a wall-clock time; the last one if the clock was set back."""
        for place in range(len(self._pauses) - 1, -1, -1):
            pause = self._pauses[place]
            if at_us >= pause.to_us:
                return self.played(pause.seq, at_us)
            length = pause.to_us - pause.from_us
            if at_us > pause.from_us:
                return self._starts[place] + (at_us - pause.from_us) / length * shown(length)
        return float(at_us - self._first_us)


def shown(length_us: float) -> float:
    """Return the replay duration of a stretch without entries."""
    return min(max(length_us, 0.0), PAUSE_US)
