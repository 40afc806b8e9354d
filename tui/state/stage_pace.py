"""The pace of a stage, taken from when its reports came. No widget in here."""

import msgspec

from engine.events import Stage, StageProgress, StageStarted, TrainStep

_MARKS = 12
"""Reports from which the pace is taken; older ones speak of a pace that has changed."""
_OVERDUE = 2.0
"""Times the usual wait between reports after which the next one is late."""


class StagePace(msgspec.Struct, frozen=True):
    """When a stage began, and how far it was at its newest reports."""

    stage: Stage | None = None
    began_us: int = 0
    marks: tuple[tuple[int, int], ...] = ()
    """(microseconds, units done), oldest first."""

    def fold(self, at_us: int, event: object) -> "StagePace":
        """After one more event of the run."""
        match event:
            case StageStarted():
                return StagePace(event.stage, at_us, ((at_us, 0),))
            case StageProgress() if event.stage == self.stage:
                # Before the first head is patched all are attributed, which is another kind of work.
                return self._mark(at_us, event.done, first=event.stage == "cause")
            case TrainStep() if self.stage == "train":
                # Baselines come before the first step: the pace is that of the steps alone.
                return self._mark(at_us, event.step, first=True)
            case _:
                return self

    def _mark(self, at_us: int, done: int, *, first: bool = False) -> "StagePace":
        """`first`: what came before the first report is no part of the pace."""
        fresh = first and len(self.marks) == 1 and self.marks[0][1] == 0
        marks = ((at_us, done),) if fresh else (*self.marks, (at_us, done))
        return StagePace(self.stage, self.began_us, marks if len(marks) <= _MARKS else marks[-_MARKS:])

    def left(self, total: int, now_us: int) -> float | None:
        """Seconds until so many units are done, at the pace of the newest reports; None while there is no pace.

        A report that is overdue slows the pace: a run that stands still is not almost done.
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
