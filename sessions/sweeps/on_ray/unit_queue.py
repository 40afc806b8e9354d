"""Units that wait for an actor: those of the model that it has loaded first, and not where they failed before."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection

from engine.sweeps.packs import PackKey, pack_key
from sessions.sweeps.executor import UnitTask


class UnitQueue:
    """Units by model, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[PackKey, OrderedDict[str, UnitTask]] = {}
        self._lost_on: dict[str, set[str]] = {}
        """By content key: nodes that lost the unit."""
        self._users: Counter[PackKey] = Counter()
        """Actors by the model that they have loaded."""
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def run_ids(self) -> list[str]:
        """Return all that wait."""
        return [run_id for units in self._waiting.values() for run_id in units]

    def put(self, task: UnitTask, *, first: bool = False) -> None:
        """Add a unit, behind the others of its model or before them."""
        units = self._waiting.setdefault(key_of(task), OrderedDict())
        units[task.run_id] = task
        if first:
            units.move_to_end(task.run_id, last=False)
        self.wake()

    def drop(self, run_ids: Collection[str]) -> list[UnitTask]:
        """Take units out; return those that were waiting."""
        found = [task for units in self._waiting.values() for run_id, task in units.items() if run_id in run_ids]
        for task in found:
            del self._waiting[key_of(task)][task.run_id]
        return found

    def lost(self, task: UnitTask, node: str) -> None:
        """Remember that the node lost the unit, so that another does it."""
        self._lost_on.setdefault(task.key, set()).add(node)

    def wake(self) -> None:
        """Let everyone who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def use(self, before: PackKey | None, now: PackKey | None) -> None:
        """Note that an actor loads another model; None: none."""
        if before is not None:
            self._users[before] -= 1
        if now is not None:
            self._users[now] += 1

    def take(self, node: str, loaded: PackKey | None, others: Collection[str]) -> UnitTask | None:
        """Return the next unit for an actor of the node; None if there is none.

        `others`: other nodes with actors; a unit that this node lost is left to them.
        """
        keys = sorted(
            (key for key, units in self._waiting.items() if units),
            key=lambda key: (key != loaded, self._users[key] / len(self._waiting[key])),
        )
        for key in keys:
            for run_id, task in self._waiting[key].items():
                if others and node in self._lost_on.get(task.key, ()):
                    continue
                del self._waiting[key][run_id]
                return task
        return None

    async def next(
        self, node: str, loaded: PackKey | None, others: Callable[[], Collection[str]], wanted: Callable[[], bool]
    ) -> UnitTask | None:
        """Return the next unit for an actor of the node, waiting for one; None once the actor is not `wanted`."""
        while wanted():
            changed = self._changed
            task = self.take(node, loaded, others())
            if task is not None:
                return task
            await changed.wait()
        return None


def key_of(task: UnitTask) -> PackKey:
    """Return what a unit shares with others that use its loaded model."""
    return pack_key(task.request.model, task.request)
