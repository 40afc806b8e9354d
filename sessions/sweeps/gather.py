"""Take the run of a unit's bundle into the session of its sweep: exactly once by content key, in one transaction."""

import asyncio
import logging
import shutil
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from engine.events import ArrayReady
from engine.machine.folders import AppFolders
from engine.sweeps.content_key import DecisiveVersions
from sessions.bundle.import_bundle import CheckedBundle
from sessions.errors import BadBundle, NoSuchRecord, StoreError
from sessions.events import LogEntry, RunEnded, RunQueued
from sessions.services.writer import StoreWriter
from sessions.store.queries import active_session
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder
from sessions.store.sweep_units import done_keys, stored_units
from sessions.sweeps.records import make_task

log = logging.getLogger("headcode.sweeps")

Gathered = Literal["new", "known"]
"""known: the store had a finished run of this unit already, and the bundle's was dropped."""
_HINT = "Only files that units of a sweep left can be gathered; headcode import takes other bundles."


class UnitBundle:
    """The bundle of one unit, checked completely and unpacked until it is closed. Not for the event loop's thread.

    Raises BadBundle for a file that is not the bundle of one finished run of a unit.
    """

    def __init__(self, path: Path, staging: Path, *, applied: bool = True) -> None:
        """Read, check and unpack the file. `applied`: as CheckedBundle takes it."""
        self._bundle = CheckedBundle(path, staging, applied=applied)
        self._folder = Path(tempfile.mkdtemp(prefix="unit-", dir=staging))
        try:
            runs = list(self._bundle.check.runs)
            if len(runs) != 1:
                raise BadBundle(f"{path} holds {len(runs)} runs; a unit's bundle has one.", hint=_HINT)
            self.run_id = runs[0]
            self._entries: list[LogEntry] = [
                entry
                for batch in self._bundle.batches(self._bundle.manifest_id, {})
                for entry, _ in batch
                if entry.run_id == self.run_id
            ]
            asked, ended = self._entries[0].event, self._entries[-1].event
            if not isinstance(asked, RunQueued) or not asked.unit:
                raise BadBundle(f"{path} holds a run that is no unit of a sweep.", hint=_HINT)
            if not isinstance(ended, RunEnded) or ended.state != "done":
                raise BadBundle(f"{path} holds a run that did not finish.", hint="Run the unit again.")
            self.key = asked.unit
            for entry in self._entries:
                if isinstance(entry.event, ArrayReady) and entry.event.name == "codes":
                    shutil.copyfile(self._bundle.codes[self.run_id], self._folder / Path(entry.event.file).name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._bundle.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def drafts(self, session_id: str, asked: RunQueued) -> list[EventDraft]:
        """Return the run's entries for the session, with their own times.

        `asked`: as this host asked for it; a bundle does not name folders of a machine.
        """
        return [
            EventDraft(
                session_id=session_id,
                run_id=self.run_id,
                event=asked if isinstance(entry.event, RunQueued) else entry.event,
                at_us=entry.at_us,
                spool=self._folder if isinstance(entry.event, ArrayReady) else None,
            )
            for entry in self._entries
        ]

    def place_weights(self, folder: Path) -> None:
        """Copy the weights into the folder of the host, named by content."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for sha256, path in self._bundle.sae.items():
            goal = folder / f"{sha256}.safetensors"
            if not goal.exists():
                part = goal.with_suffix(f".{self.run_id}.part")
                shutil.copyfile(path, part)
                part.replace(goal)


def record_bundle(
    recorder: Recorder, bundle: UnitBundle, *, session_id: str, asked: RunQueued
) -> tuple[Gathered, list[RecordedEntry]]:
    """Record the bundle's run, unless a finished run of its unit is there. Raises NoSuchRecord, StoreError."""
    store = recorder.store
    taken = store.one("SELECT 1 FROM run WHERE run_id = $run", {"run": bundle.run_id})
    if taken or done_keys(store, [bundle.key]):
        return "known", []
    return "new", recorder.append(bundle.drafts(active_session(store, session_id), asked))


async def gather(
    writer: StoreWriter, path: Path, *, session_id: str, asked: RunQueued, staging: Path, sae: Path
) -> Gathered:
    """Take the bundle's run into the session; return whether it was new. Raises BadBundle, NoSuchRecord, StoreError.

    `asked`: as this host asked for the unit. `sae`: the host's folder of weights. The file is left where it is. Called
    again with the same file, or another of the same unit, nothing changes.

    The file is one that a worker of this sweep left. So its log goes into the store at once: applying it to a scratch
    database before costs twice as much as the rest. If that fails, the scratch database says what is wrong with it.
    """
    bundle = await asyncio.to_thread(UnitBundle, path, staging, applied=False)
    try:
        if bundle.key != asked.unit:
            raise BadBundle(f"{path} is not the bundle of this unit.", hint="Run the unit again.")
        await asyncio.to_thread(bundle.place_weights, sae)
        return await writer.change(
            lambda recorder: record_bundle(recorder, bundle, session_id=session_id, asked=asked), alone=True
        )
    except (StoreError, OverflowError, ValueError, TypeError):
        whole = await asyncio.to_thread(UnitBundle, path, staging)
        await asyncio.to_thread(whole.close)
        raise
    finally:
        await asyncio.to_thread(bundle.close)


async def gather_file(
    writer: StoreWriter, path: Path, *, sweep_id: str, places: AppFolders, versions: DecisiveVersions
) -> bool:
    """Take the bundle of any unit of the sweep into its session; return whether its run was new.

    Raises BadBundle, NoSuchRecord, StoreError.
    """
    bundle = await asyncio.to_thread(UnitBundle, path, places.spool)
    try:
        units = await writer.read(lambda store: stored_units(store, sweep_id, {bundle.key}))
        if not units:
            raise NoSuchRecord("It is no unit of this sweep.", hint="headcode sweep list shows the others.")
        unit = units[0]
        asked = make_task("", unit, places, identity="", versions=versions, last=True).asked
        await asyncio.to_thread(bundle.place_weights, places.data / "sae")
        work = partial(record_bundle, bundle=bundle, session_id=unit.session_id, asked=asked)
        return await writer.change(work, alone=True) == "new"
    finally:
        await asyncio.to_thread(bundle.close)


async def gather_left(
    writer: StoreWriter, folder: Path, *, sweep_id: str, places: AppFolders, versions: DecisiveVersions
) -> None:
    """Take in the files that an earlier host left or that jobs finished without one, and delete them."""
    for path in sorted(await asyncio.to_thread(lambda: list(folder.glob("*.headcode")))):
        try:
            await gather_file(writer, path, sweep_id=sweep_id, places=places, versions=versions)
        except (BadBundle, NoSuchRecord, OSError) as error:
            log.warning("%s is not taken in: %s", path, error)
        with suppress(OSError):
            await asyncio.to_thread(path.unlink)
