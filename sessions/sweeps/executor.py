"""The interface of everything that runs units: a local pool, Ray actors, Slurm jobs.

An executor gets packs of units and reports what becomes of each. It decides neither whether a unit is tried again nor
what is stored: the conductor does. All values here are frozen and can be sent as JSON.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from engine.errors import Failure
from engine.protocol import RunProbe
from engine.sweeps.content_key import DecisiveVersions
from sessions.events import RunQueued


class UnitTask(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a unit: everything that a worker anywhere needs to run it."""

    key: str
    """The unit's content key."""
    run_id: str
    """Of the run that this try will be; another try has another one."""
    session_id: str
    """The session on the host that the run belongs to."""
    title: str
    """For people: the sweep and the unit's labels."""
    asked: RunQueued
    """The first entry of the run's log."""
    request: RunProbe
    """For the engine. Its folders (spool, models, activations) are those of the host; a node puts its own there."""
    identity: str
    """Of the model's files (engine.catalog.local_models.model_identity); `name:...` if the host does not have them."""
    versions: DecisiveVersions
    """Of the host; a node with others refuses the unit."""
    last_try: bool = False
    """Whether no other try will follow."""


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """Units that use one loaded model, to be run one after the other where they can be."""

    units: tuple[UnitTask, ...]


class UnitReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="report"):
    """The base of everything that an executor reports."""


class UnitStarted(UnitReport, tag="started", frozen=True, kw_only=True):
    """A worker began a unit."""

    run_id: str
    worker: str


class UnitProgress(UnitReport, tag="progress", frozen=True, kw_only=True):
    """How far a unit is. May be left out, or be late."""

    run_id: str
    stage: str
    done: int
    total: int


class UnitDone(UnitReport, tag="done", frozen=True, kw_only=True):
    """A unit is finished."""

    run_id: str
    bundle: str = ""
    """Path on the host of the file that the unit left; the conductor takes it in and deletes it.

    Empty: the run is in the store already.
    """


class UnitFailed(UnitReport, tag="failed", frozen=True, kw_only=True):
    """A unit did not finish."""

    run_id: str
    failure: Failure
    again: bool
    """Whether another try may succeed: the worker died, the node was lost. False: the unit itself cannot be done."""
    stored: bool = False
    """Whether the store has the run with its failure already."""


class WorkerJoined(UnitReport, tag="joined", frozen=True, kw_only=True):
    """A worker is there."""

    worker: str
    """Unique in the sweep: `local 1`, a node and a number."""
    where: str = ""
    """For people: the node's name, its device."""


class WorkerLost(UnitReport, tag="lost", frozen=True, kw_only=True):
    """A worker is gone. What becomes of its unit is reported by itself, before or after."""

    worker: str
    reason: str


class UnitLogged(UnitReport, tag="logged", frozen=True, kw_only=True):
    """What the engine wrote to its log while it ran a unit; may come in pieces, and after the unit's end."""

    run_id: str
    worker: str
    text: str


AnyReport = UnitStarted | UnitProgress | UnitDone | UnitFailed | WorkerJoined | WorkerLost | UnitLogged
ReportTo = Callable[[AnyReport], None]
"""Takes a report at once and never raises. To be called on the host's event loop (`call_soon_threadsafe` elsewhere)."""


class Executor(Protocol):
    """Runs units. Every submitted unit ends in exactly one UnitDone or UnitFailed, unless the executor is closed.

    After `close` nothing is reported. An executor belongs to one sweep.
    """

    async def submit(self, packs: Sequence[Pack]) -> None:
        """Run these units, behind those submitted before. May be called again at any time.

        Returns as soon as they are accepted. The first call raises ConfigError where nothing can run them (no such
        cluster, no such partition); later calls report failures instead.
        """
        ...

    async def cancel(self, run_ids: Collection[str]) -> None:
        """Stop these units within two seconds where that is possible; each then fails with family `cancelled`."""
        ...

    async def close(self) -> None:
        """Stop everything and give back workers, jobs and connections."""
        ...
