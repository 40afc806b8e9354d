"""The clock of a replay: recorded time with its long pauses shortened."""

from bisect import bisect_right

from sessions.rows import Timeline

PAUSE_US = 3_000_000
"""A stretch in which nothing was recorded lasts at most this long, at speed 1."""


class ReplayClock:
    """From a log's entries to microseconds of replay and back. Moment 0 is the log's first entry."""

    def __init__(self, times: Timeline) -> None:
        self._first_us = times.first_us
        self._seqs = [pause.seq for pause in times.pauses]
        self._starts: list[float] = []
        """When each pause begins, in replay."""
        self._saved: list[float] = []
        """How much every pause up to and with this one was shortened."""
        self._pauses = times.pauses
        saved = 0.0
        for pause in times.pauses:
            length = pause.to_us - pause.from_us
            self._starts.append(pause.from_us - self._first_us - saved)
            # A clock that was set back: the replay goes on as if nothing had been.
            saved += length - shown(length)
            self._saved.append(saved)
        self.total = self.played(times.last_seq, times.last_us)

    def played(self, seq: int, at_us: int) -> float:
        """When the entry comes, in microseconds of replay."""
        place = bisect_right(self._seqs, seq)
        return at_us - self._first_us - (self._saved[place - 1] if place else 0.0)

    def recorded(self, played: float) -> int:
        """What the clock on the wall said at that moment of the replay; in a shortened pause it hurries."""
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
        """The moment of the replay at which the clock on the wall said that; its last, where it was set back."""
        for place in range(len(self._pauses) - 1, -1, -1):
            pause = self._pauses[place]
            if at_us >= pause.to_us:
                return self.played(pause.seq, at_us)
            length = pause.to_us - pause.from_us
            if at_us > pause.from_us:
                return self._starts[place] + (at_us - pause.from_us) / length * shown(length)
        return float(at_us - self._first_us)


def shown(length_us: float) -> float:
    """How long a stretch without entries lasts in replay."""
    return min(max(length_us, 0.0), PAUSE_US)
