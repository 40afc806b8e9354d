"""The pace of a stage, estimated from its progress reports."""

import msgspec

from engine.events import Stage, StageProgress, StageStarted, TrainStep

_MARKS = 12
"""Number of reports that the pace is estimated from; older ones are outdated."""
_OVERDUE = 2.0
"""A report is overdue after this many times the usual interval."""


class StagePace(msgspec.Struct, frozen=True):
    """When a stage began, and its progress at the newest reports."""

    stage: Stage | None = None
    began_us: int = 0
    marks: tuple[tuple[int, int], ...] = ()
    """(microseconds, units done), oldest first."""

    def fold(self, at_us: int, event: object) -> "StagePace":
        """Return the pace after one more event of the run."""
        match event:
            case StageStarted():
                return StagePace(event.stage, at_us, ((at_us, 0),))
            case StageProgress() if event.stage == self.stage:
                # Before the first head is patched, all heads are attributed, which is different work.
                return self._mark(at_us, event.done, first=event.stage == "cause")
            case TrainStep() if self.stage == "train":
                # Baselines come before the first step: the pace counts only the steps.
                return self._mark(at_us, event.step, first=True)
            case _:
                return self

    def _mark(self, at_us: int, done: int, *, first: bool = False) -> "StagePace":
        """Add a report. `first`: work before the first report does not count for the pace."""
        fresh = first and len(self.marks) == 1 and self.marks[0][1] == 0
        marks = ((at_us, done),) if fresh else (*self.marks, (at_us, done))
        return StagePace(self.stage, self.began_us, marks if len(marks) <= _MARKS else marks[-_MARKS:])

    def left(self, total: int, now_us: int) -> float | None:
        """Return the seconds until `total` units are done at the current pace, or None without a pace.

        An overdue report slows the pace: a stalled run is not almost done.
        """
        if len(self.marks) < 2 or total <= 0:
            return None
        (first_us, first), (last_us, last) = self.marks[0], self.marks[-1]
        if last <= first or last_us <= first_us:
            return None
        since = max(0, now_us - last_us)
        if since > _OVERDUE * (last_us - first_us) / (len(self.marks) - 1):
            return (total - last) * (now_us - first_us) / 1e6 / (last - first)
        rate = (last - first) / ((last_us - first_us) / 1e6)
        return max(0.0, (total - last) / rate - since / 1e6)
