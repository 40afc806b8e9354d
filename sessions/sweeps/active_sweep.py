"""One sweep under way: its units, tries, workers and problems."""

import asyncio
import time
from collections import deque

from sessions.protocol.sweeps import SweepWorker, UnitProblem
from sessions.store.sweep_units import StoredUnit
from sessions.sweeps.executor import Executor, UnitTask
from sessions.sweeps.records import RecordedSweep

_SHOWN_PROBLEMS = 20
_PACE = 200
"""Finished units from which the time left is computed."""


class ActiveSweep:
    """One sweep under way."""

    def __init__(self, sweep: RecordedSweep, on: str) -> None:
        self.sweep_id, self.name, self.on = sweep.sweep_id, sweep.name, on
        self.executor: Executor
        self.units: dict[str, StoredUnit] = {}
        """Those to be run, by key."""
        self.tasks: dict[str, UnitTask] = {}
        """Tries that have not ended, by run id."""
        self.key_of: dict[str, str] = {}
        """The unit's key by run id, of all tries."""
        self.logged: dict[str, str] = {}
        """What heads the log of a try, by run id, of those that logged anything."""
        self.tries: dict[str, int] = {}
        """By key."""
        self.identities: dict[str, str] = {}
        self.done = self.failed = 0
        self.cancelled = False
        self.workers: dict[str, SweepWorker] = {}
        self.problems: deque[UnitProblem] = deque(maxlen=_SHOWN_PROBLEMS)
        self.ends: deque[float] = deque([time.monotonic()], maxlen=_PACE)
        """When it began and when units finished, in seconds of the monotonic clock."""
        self.ended = asyncio.Event()

    def labels(self, key: str) -> str:
        unit = self.units[key].unit
        return ", ".join(f"{axis} {value}" for axis, value in unit.labels)

    @property
    def left_s(self) -> float | None:
        left = len(self.units) - self.done - self.failed
        if len(self.ends) < 3 or left <= 0:
            return None
        return left * (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
