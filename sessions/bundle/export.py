"""Export a session to one file with the same bytes on every machine and at any time."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import msgspec

from engine.events import ArrayReady
from sessions.bundle.archive import ZipWriter
from sessions.bundle.parquet import ScratchDatabase
from sessions.bundle.portable_log import EventRow, is_origin, make_line, portable_event
from sessions.errors import BadBundle, NoSuchRecord
from sessions.events import FINAL_STATES, ArrayStored, LogEntry, RunQueued, SessionCreated
from sessions.files.atomic_write import write_atomically
from sessions.protocol.bundle_manifest import (
    EVENTS,
    MANIFEST,
    BundleCounts,
    BundledSession,
    BundleMember,
    ExportResult,
    Manifest,
    write_manifest,
)
from sessions.store.database import Store
from sessions.store.queries import find_session
from sessions.version import version

BATCH = 2_000
"""Entries per batch: other clients use the store between two batches."""


class ExportRange(msgspec.Struct, frozen=True, kw_only=True):
    """What to export, fixed before the first entry is read."""

    session_id: str
    last_seq: int
    """The last entry that is exported."""


def find_range(store: Store, reference: str) -> ExportRange:
    """Return what to export. Raises NoSuchRecord, or BadBundle for a session with an unfinished run."""
    session_id = find_session(store, reference)
    going = store.rows(
        "SELECT number, state FROM run WHERE session_id = $session ORDER BY number", {"session": session_id}
    )
    for number, state in going:
        if state not in FINAL_STATES:
            raise BadBundle(
                f"Run {number} of the session is {state}: the file would hold half of it.",
                hint="Wait for its end, or stop it: x in the workbench.",
            )
    return ExportRange(session_id=session_id, last_seq=last_own_seq(store, session_id))


def last_own_seq(store: Store, session_id: str) -> int:
    """Return the number of the last entry to export: a final "imported" entry is left out.

    So a session exported where it was imported gives the bytes it came from; once something else has happened in
    it, the entry is part of its history.
    """
    rows = store.rows(
        "SELECT seq, kind FROM event WHERE session_id = $session ORDER BY seq DESC LIMIT 100", {"session": session_id}
    )
    return next((int(seq) for seq, kind in rows if not is_origin(kind)), 0)


def read_log_rows(store: Store, session_id: str, *, after_seq: int, up_to: int) -> list[EventRow]:
    """Return the next entries of a log, at most BATCH."""
    rows = store.rows(
        "SELECT seq, at_us, run_id, payload FROM event WHERE session_id = $session AND seq > $after AND seq <= $to "
        "ORDER BY seq",
        {"session": session_id, "after": after_seq, "to": min(after_seq + BATCH, up_to)},
    )
    return [EventRow(*row) for row in rows]


def read_run_codes(store: Store, run_id: str) -> list[tuple[int, int, list[int]]]:
    """Return the run's codes as (seed, example, codes); empty if it stored none."""
    rows = store.rows(
        "SELECT seed, example, codes FROM code WHERE run_id = $run ORDER BY seed, example", {"run": run_id}
    )
    return [(int(seed), int(example), list(codes)) for seed, example, codes in rows]


class BundleWriter:
    """Collects a session in a staging folder, then writes the bundle. Not for the event loop's thread."""

    def __init__(self, staging: Path, head: ExportRange, *, tables: bool = True) -> None:
        """`tables`: whether the bundle has them, which take most of the time and which Headcode never reads."""
        self.head = head
        self.codes_wanted: list[str] = []
        """Runs that stored codes, in log order."""
        self._staging = Path(tempfile.mkdtemp(prefix=".headcode-export-", dir=staging))
        self._events = (self._staging / EVENTS).open("wb")
        self._scratch = ScratchDatabase(self._staging, writes=True) if tables else None
        self._seeds: dict[str, tuple[int, ...]] = {}
        """Of each run, in the order of its arrays."""
        self._members: list[tuple[str, Path, bool]] = [(EVENTS, self._staging / EVENTS, True)]
        self._about: BundledSession | None = None
        self._n_events = self._n_runs = self._n_codes = 0
        self._sae: dict[str, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.__exit__()
        self._events.close()
        shutil.rmtree(self._staging, ignore_errors=True)

    def add(self, rows: Sequence[EventRow]) -> None:
        """Add the next entries of the log."""
        entries = []
        for row in rows:
            event, payload = portable_event(row.payload)
            self._events.write(make_line(row.seq, row.at_us, row.run_id, payload))
            entry = LogEntry(
                session_id=self.head.session_id, seq=row.seq, at_us=row.at_us, run_id=row.run_id, event=event
            )
            # The tables are made from the exported entries, not from those in the store.
            entries.append((entry, payload))
            match entry.event:
                case SessionCreated() as made:
                    self._about = BundledSession(
                        id=self.head.session_id, name=made.name, model=made.model, task=made.task
                    )
                case RunQueued() as asked:
                    self._n_runs += 1
                    self._seeds[entry.run_id or ""] = tuple(asked.config.seeds)
                case ArrayReady(name="codes") if entry.run_id is not None and entry.run_id not in self.codes_wanted:
                    self.codes_wanted.append(entry.run_id)
                case ArrayStored(name="sae"):
                    self._sae[entry.event.sha256] = None
                case _:
                    pass
        self._n_events += len(rows)
        if self._scratch is not None:
            self._scratch.add(entries)

    def add_codes(self, run_id: str, rows: list[tuple[int, int, list[int]]]) -> None:
        """Add a run's codes as stored; they may be empty."""
        if not rows:
            return
        place = {seed: index for index, seed in enumerate(self._seeds[run_id])}
        ordered = sorted(rows, key=lambda row: (place.get(row[0], len(place)), row[1]))
        shape = (len({row[0] for row in rows}), 1 + max(row[1] for row in rows), len(rows[0][2]))
        if len(rows) != shape[0] * shape[1] or any(len(row[2]) != shape[2] for row in rows):
            raise BadBundle(f"The codes of run {run_id} are incomplete in the store.", hint="See: headcode doctor")
        path = self._staging / f"{run_id}.safetensors"
        write_tensor(path, "codes", shape, (row[2] for row in ordered))
        self._members.append((f"codes/{run_id}.safetensors", path, True))
        if self._scratch is not None:
            self._scratch.add_codes(run_id, rows)
        self._n_codes += 1

    def finish(self, goal: Path, *, sae: Path | None, force: bool, marks: Path | None = None) -> ExportResult:
        """Write the file beside its goal and rename it. `sae`: the folder of SAE weights, or None to leave them out."""
        self._events.close()
        if self._about is None or self._n_events != self.head.last_seq:
            raise NoSuchRecord("The session was deleted during the export.", hint="headcode sessions list")
        missing = found = 0
        for digest in sorted(self._sae) if sae is not None else ():
            path = (sae or Path()) / f"{digest}.safetensors"
            if path.is_file():
                self._members.append((f"sae/{digest}.safetensors", path, False))
                found += 1
            else:
                missing += 1
        if self._scratch is not None:
            self._members += [(name, path, False) for name, path in self._scratch.write(self._staging)]
        manifest = Manifest(
            headcode=version(),
            session=self._about,
            counts=BundleCounts(events=self._n_events, runs=self._n_runs, codes=self._n_codes, sae=found),
            members=tuple(_member(name, path) for name, path, _ in self._members),
        )
        digest, n_bytes = write_atomically(goal, lambda part: self._zip(part, manifest), force=force, marks=marks)
        return ExportResult(
            path=str(goal),
            session_id=self.head.session_id,
            n_bytes=n_bytes,
            sha256=digest,
            manifest=manifest,
            sae_missing=missing,
        )

    def _zip(self, part: Path, manifest: Manifest) -> None:
        with part.open("wb") as out:
            writer = ZipWriter(out)
            writer.add(MANIFEST, write_manifest(manifest))
            for name, path, compress in self._members:
                writer.add(name, path, compress=compress)
            writer.close()
            out.flush()
            os.fsync(out.fileno())


def write_tensor(path: Path, name: str, shape: tuple[int, ...], rows: Iterable[list[int]]) -> None:
    """Write a safetensors file with one int32 tensor, row after row."""
    import numpy

    n_bytes = 4
    for side in shape:
        n_bytes *= side
    header = msgspec.json.encode({name: {"dtype": "I32", "shape": shape, "data_offsets": [0, n_bytes]}})
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for row in rows:
            file.write(numpy.asarray(row, dtype="<i4").tobytes())


def _member(name: str, path: Path) -> BundleMember:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BundleMember(name=name, bytes=path.stat().st_size, sha256=digest)
