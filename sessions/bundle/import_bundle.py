"""Import a bundle from an untrusted source: check all of it, then store all of it or nothing."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Self

import msgspec

from engine.errors import HeadcodeError
from engine.events import ArrayReady
from sessions.bundle.archive import ZipMember, ZipReader
from sessions.bundle.export import last_own_seq, read_log_rows
from sessions.bundle.log_checks import InvalidLog, LogCheck
from sessions.bundle.parquet import ScratchDatabase
from sessions.bundle.portable_log import make_line, portable_event, rename_runs
from sessions.edits.examples import clean_name
from sessions.errors import BadArray, BadBundle
from sessions.events import FINAL_STATES, LogEntry, SessionImported
from sessions.files.array_files import iterate_codes
from sessions.ids import new_id
from sessions.protocol.bundle_manifest import (
    EVENTS,
    MANIFEST,
    MAX_ARRAY_BYTES,
    MAX_CODES_BYTES,
    MAX_EVENTS_BYTES,
    MAX_MANIFEST,
    Arrival,
    BundleLine,
    BundleMember,
    ImportResult,
    Manifest,
    read_manifest,
)
from sessions.store.database import Store
from sessions.store.queries import name_taken, session_row
from sessions.store.recorder import EventDraft, RecordedEntry, Recorder

MAX_LINE = 32 << 20
_BATCH = 500
_ASK_AGAIN = "Ask for the file again: it was damaged on the way, or made by another program."


class CheckedBundle:
    """A bundle that was read completely and found valid, unpacked in a staging folder until it is closed.

    Raises BadBundle, naming the member and what is wrong with it. Not for the event loop's thread.
    """

    def __init__(self, path: Path, staging: Path, *, applied: bool = True) -> None:
        """Read, check and unpack the file.

        `applied`: apply the log to a scratch database, which finds values that no table can hold. False where the
        bundle comes from a program of one's own: the store's transaction finds them, too.
        """
        self._applied = applied
        staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(prefix="import-", dir=staging))
        self.check = LogCheck()
        self.name = ""
        """The session's name at the end of its log; empty if it was not applied."""
        self.codes: dict[str, Path] = {}
        self.sae: dict[str, Path] = {}
        try:
            with ZipReader(path) as zipped:
                self.sha256 = zipped.sha256()
                self.manifest = self._manifest(zipped)
                for member, announced in zip(zipped.members[1:], self.manifest.members, strict=True):
                    self._unpack(zipped, member, announced)
            self._compare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def lines(self) -> Iterator[bytes]:
        """Yield the log's lines as this Headcode writes them."""
        with (self._folder / EVENTS).open("rb") as file:
            yield from file

    def batches(self, session_id: str, runs: dict[str, str]) -> Iterator[list[tuple[LogEntry, bytes]]]:
        """Yield the log's entries with their stored events, under the given session and run ids."""
        batch: list[tuple[LogEntry, bytes]] = []
        for raw in self.lines():
            line = _LINE.decode(raw)
            event = rename_runs(line.event, runs)
            run_id = None if line.run_id is None else runs.get(line.run_id, line.run_id)
            entry = LogEntry(session_id=session_id, seq=line.seq, at_us=line.at_us, run_id=run_id, event=event)
            batch.append((entry, msgspec.json.encode(event)))
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def code_rows(self, run_id: str) -> Iterator[tuple[int, int, list[int]]]:
        """Yield a run's codes as (seed, example, codes). Raises BadBundle if they do not match the log."""
        run, member = self.check.runs[run_id], f"codes/{run_id}.safetensors"
        shape = run.codes
        if shape is None:
            raise BadBundle(f"{member} is not listed in the log.", hint=_ASK_AGAIN)
        path = self.codes[run_id]
        try:
            for seed, example, codes in iterate_codes(
                path.parent, ArrayReady(name="codes", file=path.name, shape=shape)
            ):
                if min(codes) < -1 or max(codes) >= 1 << 24:
                    raise BadBundle(f"{member} holds invalid codes (example {example}).", hint=_ASK_AGAIN)
                yield run.seeds[seed], example, codes
        except BadArray as error:
            what = error.message.replace(str(path), "it").rstrip(".")
            raise BadBundle(f"{member} is not an array of codes: {what}.", hint=_ASK_AGAIN) from error

    def _manifest(self, zipped: ZipReader) -> Manifest:
        if not zipped.members or zipped.members[0].name != MANIFEST:
            raise BadBundle(
                f"{zipped.path} is not a Headcode bundle: {MANIFEST} is not its first member.", hint=_ASK_AGAIN
            )
        manifest = read_manifest(b"".join(zipped.chunks(zipped.members[0], most=MAX_MANIFEST)))
        there = [member.name for member in zipped.members[1:]]
        named = [member.name for member in manifest.members]
        if there != named:
            unlisted = next((name for name in there if name not in named), None)
            missing = next((name for name in named if name not in there), None)
            words = (
                f"{unlisted!r} is in the file, but not in its manifest"
                if unlisted is not None
                else f"{missing} is in the manifest, but not in the file"
                if missing is not None
                else "its members are not in the order of its manifest"
            )
            raise BadBundle(f"{zipped.path} is damaged: {words}.", hint=_ASK_AGAIN)
        if not named or named[0] != EVENTS:
            raise BadBundle(f"{zipped.path} is not a Headcode bundle: it holds no {EVENTS}.", hint=_ASK_AGAIN)
        return manifest

    def _unpack(self, zipped: ZipReader, member: ZipMember, announced: BundleMember) -> None:
        """Check one member against the manifest, and unpack it if it is needed."""
        kind, _, rest = member.name.rpartition("/")
        if member.n_bytes != announced.bytes:
            raise BadBundle(
                f"{member.name} has {member.n_bytes} bytes; the manifest says {announced.bytes}.", hint=_ASK_AGAIN
            )
        goal: Path | None = None
        if kind in ("codes", "sae"):
            goal = self._folder / f"{kind}-{rest}"
            (self.codes if kind == "codes" else self.sae)[rest.removesuffix(".safetensors")] = goal
        elif member.name == EVENTS:
            goal = self._folder / "received.jsonl"
        digest = hashlib.sha256()
        # Tables are for other tools. They are not read here but made again from the log.
        out = goal.open("xb") if goal is not None else None
        try:
            most = (
                MAX_EVENTS_BYTES if member.name == EVENTS else MAX_CODES_BYTES if kind == "codes" else MAX_ARRAY_BYTES
            )
            for chunk in zipped.chunks(member, most=most):
                digest.update(chunk)
                if out is not None:
                    out.write(chunk)
        finally:
            if out is not None:
                out.close()
        if digest.hexdigest() != announced.sha256:
            raise BadBundle(f"{member.name} is damaged: it does not match the manifest.", hint=_ASK_AGAIN)
        if member.name == EVENTS and goal is not None:
            self._read_log(goal)

    def _read_log(self, raw_log: Path) -> None:
        """Check every entry, apply the log to a scratch database if asked to, and write it in this version's form."""
        session_id, n_read = self.manifest_id, 0
        batch: list[tuple[LogEntry, bytes]] = []
        with (
            raw_log.open("rb") as file,
            (self._folder / EVENTS).open("xb") as out,
            ScratchDatabase(self._folder, writes=False) if self._applied else nullcontext() as scratch,
        ):
            while raw := file.readline(MAX_LINE + 1):
                n_read += 1
                line = self._line(raw, n_read)
                event, payload = portable_event(msgspec.json.encode(line.event).decode())
                out.write(make_line(line.seq, line.at_us, line.run_id, payload))
                entry = LogEntry(session_id=session_id, seq=line.seq, at_us=line.at_us, run_id=line.run_id, event=event)
                if scratch is not None:
                    batch.append((entry, payload))
                if scratch is not None and len(batch) == _BATCH:
                    scratch.add(batch)
                    batch = []
            try:
                self.check.end()
            except InvalidLog as wrong:
                raise BadBundle(f"{EVENTS}, line {n_read}, {wrong}.", hint=_ASK_AGAIN) from None
            states: list[tuple[str, str]] = []
            if scratch is not None:
                if batch:
                    scratch.add(batch)
                self.name, states = scratch.summary()
        for run_id, state in states:
            if state not in FINAL_STATES:
                raise BadBundle(
                    f"{EVENTS}: run {run_id} is {state} at its end; bundles hold finished runs only.", hint=_ASK_AGAIN
                )
        raw_log.unlink()

    @property
    def manifest_id(self) -> str:
        return self.manifest.session.id

    def _line(self, raw: bytes, number: int) -> BundleLine:
        if len(raw) > MAX_LINE or not raw.endswith(b"\n"):
            what = f"has more than {MAX_LINE} bytes" if len(raw) > MAX_LINE else "is cut short"
            raise BadBundle(f"{EVENTS}, line {number}, {what}.", hint=_ASK_AGAIN)
        try:
            line = _LINE.decode(raw)
            self.check.line(line)
        except InvalidLog as wrong:
            raise BadBundle(f"{EVENTS}, line {number}, {wrong}.", hint=_ASK_AGAIN) from None
        except HeadcodeError as error:  # from the values' own checks
            raise BadBundle(f"{EVENTS}, line {number}: {error.message}", hint=_ASK_AGAIN) from error
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise BadBundle(f"{EVENTS}, line {number}, is not a log entry: {error}.", hint=_ASK_AGAIN) from error
        return line

    def _compare(self) -> None:
        """Compare the members with each other."""
        counts = self.manifest.counts
        for what, stated, found in (
            ("events", counts.events, self.check.n_lines),
            ("runs", counts.runs, len(self.check.runs)),
            ("runs with codes", counts.codes, len(self.codes)),
            ("files of SAE weights", counts.sae, len(self.sae)),
        ):
            if stated != found:
                raise BadBundle(f"{MANIFEST} says {stated} {what}; there are {found}.", hint=_ASK_AGAIN)
        for run_id in self.codes:
            if run_id not in self.check.runs:
                raise BadBundle(f"codes/{run_id}.safetensors belongs to no run of the log.", hint=_ASK_AGAIN)
            for _ in self.code_rows(run_id):
                pass
        for sha256, path in self.sae.items():
            member = f"sae/{sha256}.safetensors"
            if self.check.sae.get(sha256) != path.stat().st_size:
                raise BadBundle(f"{member} is not listed in the log, or has another size.", hint=_ASK_AGAIN)
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise BadBundle(f"{member} does not match the hash in its name.", hint=_ASK_AGAIN)


_LINE = msgspec.json.Decoder(BundleLine)


def import_into_store(
    recorder: Recorder, bundle: CheckedBundle, *, name: str | None, as_copy: bool, sae: Path
) -> tuple[ImportResult, list[RecordedEntry]]:
    """Import the session completely, or return the existing one if it is the same.

    Raises BadBundle or StoreError; then nothing is stored. `sae`: the folder for SAE weights.
    """
    store, session_id = recorder.store, bundle.manifest_id
    runs = {run_id: run_id for run_id in bundle.check.runs}
    if as_copy:
        session_id = new_id("s")
        runs = {run_id: new_id("r") for run_id in runs}
    elif store.one("SELECT 1 FROM event WHERE session_id = $session LIMIT 1", {"session": session_id}):
        arrival = _find_arrival(store, bundle)
        return _make_result(store, bundle, session_id, arrival, 0), []
    _check_runs(store, runs.values())
    placed = _store_weights(bundle.sae, sae)
    event = SessionImported(
        bundle_sha256=bundle.sha256,
        from_session=bundle.manifest_id,
        headcode=bundle.manifest.headcode[:100],
        name=_choose_name(store, bundle.name, name),
    )
    try:
        recorded = recorder.adopt(
            bundle.batches(session_id, runs),
            ((runs[run_id], bundle.code_rows(run_id)) for run_id in bundle.codes),
            EventDraft(session_id=session_id, event=event),
        )
    except BaseException:
        for path in placed:
            with suppress(OSError):
                path.unlink()
        raise
    return _make_result(store, bundle, session_id, "new", len(bundle.sae)), recorded


def _find_arrival(store: Store, bundle: CheckedBundle) -> Arrival:
    """Return how the bundle relates to a session here with the same id. Raises BadBundle if they diverged."""
    session_id, own = bundle.manifest_id, last_own_seq(store, bundle.manifest_id)
    bundled = bundle.lines()
    after = 0
    while after < min(own, bundle.check.n_lines):
        rows = read_log_rows(store, session_id, after_seq=after, up_to=min(own, bundle.check.n_lines))
        for row in rows:
            line = make_line(row.seq, row.at_us, row.run_id, portable_event(row.payload)[1])
            if next(bundled) != line:
                raise _diverged(store, session_id, f"They differ from entry {row.seq} on")
        after = rows[-1].seq
    if bundle.check.n_lines > own:
        raise _diverged(store, session_id, f"The file continues after the end of the one here ({own} entries)")
    return "same" if bundle.check.n_lines == own else "older"


def _diverged(store: Store, session_id: str, how: str) -> BadBundle:
    name = session_row(store, session_id).name
    return BadBundle(
        f"The session {session_id} exists already as {name!r}, with other content. {how}.",
        hint="--as-copy imports the file's session as a separate one.",
    )


def _check_runs(store: Store, run_ids: Iterable[str]) -> None:
    for run_id in run_ids:
        if store.one("SELECT 1 FROM run WHERE run_id = $run", {"run": run_id}):
            raise BadBundle(
                f"The run {run_id} exists already, in another session.",
                hint="--as-copy imports the file's session under new ids.",
            )


def _store_weights(weights: dict[str, Path], folder: Path) -> list[Path]:
    """Move the weights into the folder; return the files that were not there before."""
    placed = []
    if weights:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for sha256, path in weights.items():
        goal = folder / f"{sha256}.safetensors"
        if not goal.exists():
            shutil.move(path, goal)
            placed.append(goal)
    return placed


def _choose_name(store: Store, own: str, wanted: str | None) -> str | None:
    """Return the session's name here, if it differs from its own."""
    name = own if wanted is None else clean_name(wanted)
    number, free = 1, name
    while name_taken(store, free):
        number += 1
        free = f"{name[:180]} {number}"
    return None if free == own else free


def _make_result(store: Store, bundle: CheckedBundle, session_id: str, arrival: Arrival, n_sae: int) -> ImportResult:
    return ImportResult(
        session=session_row(store, session_id),
        arrival=arrival,
        bundle_sha256=bundle.sha256,
        n_events=bundle.check.n_lines,
        n_runs=len(bundle.check.runs),
        n_sae=n_sae,
    )
