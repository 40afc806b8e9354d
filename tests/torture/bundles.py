"""Hostile files against the real import: bundles and example files, mutated and made by hand.

    python tests/torture/bundles.py --count 5000 --seed 0

Every file goes through the same code the host and the command line use, in a home of its own with a watched folder
around it. Nothing may end in anything but a plain refusal or a whole session; nothing may be written outside the home;
nothing may stay behind. A process that dies counts as a crash of the file it was at.
"""

import argparse
import collections
import hashlib
import importlib.util
import io
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from engine.config import CauseMetric, ProbeConfig, Replacement
from engine.errors import Failure, HeadcodeError
from engine.events import ArrayReady, CauseScored, CircuitChecked, Notice
from engine.examples import content_hash
from engine.jobs import RunProbe
from engine.results import CurvePoint, HeadEffect
from sessions.arrays import keep_by_content
from sessions.bundle_export import BATCH, BundleWriter, codes_of, head_of, rows_of
from sessions.bundle_format import EVENTS, MANIFEST, Exported
from sessions.bundle_import import Bundle, take_in
from sessions.ids import new_id
from sessions.log import (
    ArrayKept,
    CircuitKept,
    ExamplesSet,
    ExamplesStepped,
    NoteWritten,
    RunEnded,
    RunQueued,
    RunStarted,
    SessionCreated,
    TagsSet,
)
from sessions.queries import session_detail
from sessions.record import Draft, Recorder
from sessions.store import Store

HERE = Path(__file__).parent
METRIC, REPLACEMENT = get_args(CauseMetric)[0], get_args(Replacement)[0]
CHUNK = 250
"""Files one process looks at: a process that dies loses the rest of them, and is counted."""


def load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load("scripted_worker", HERE.parent / "sessions" / "scripted_worker.py")


# ---- a home, and honest bundles out of it


class Home:
    """A store with everything around it, driven without a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool, self.sae = folder / "spool", folder / "sae"
        self.spool.mkdir(parents=True)
        self.sae.mkdir()
        self.store = Store.open(folder / "sessions.duckdb")
        self.recorder = Recorder(self.store)

    def close(self) -> None:
        self.store.close()

    def session(self, *, runs: int = 2, model: str = "toy") -> str:
        """A session as a person leaves it: runs, one of them failed, examples undone, notes, tags, a circuit."""
        session_id = new_id("s")
        examples = script.examples_of("ioi", 2)
        fewer = examples[:2]
        say = [
            SessionCreated(name=f"a session {session_id}", model=model, task="ioi", pairs=2),
            ExamplesSet(examples=examples, content_hash=content_hash(examples)),
            ExamplesSet(examples=fewer, content_hash=content_hash(fewer)),
            ExamplesStepped(by=-1, version=1, content_hash=content_hash(examples)),
            TagsSet(tags=("good", "näher")),
            CircuitKept(name="mine", heads=((0, 1), (1, 2)), source="by hand"),
        ]
        self.recorder.append([Draft(session_id=session_id, event=event) for event in say])
        for _ in range(runs):
            self.run(session_id, model=model)
        failure = Failure(
            family="engine", name="WorkerDied", message=f"The worker (PID {os.getpid()}) died.", hint="Try again."
        )
        broken = [
            RunQueued(config=ProbeConfig(), model=model),
            RunStarted(),
            Notice(message=f"{self.folder}/x/config.json is odd."),
            RunEnded(state="failed", failure=failure),
        ]
        run_id = new_id("r")
        self.recorder.append([Draft(session_id=session_id, run_id=run_id, event=event) for event in broken])
        self.recorder.append([Draft(session_id=session_id, event=NoteWritten(note_id="n1", text="Ümlaut\n\x1b[31m"))])
        return session_id

    def run(self, session_id: str, *, model: str = "toy", seeds: tuple[int, ...] = (4, 5)) -> str:
        run_id = new_id("r")
        spool, config = self.spool / run_id, ProbeConfig(seeds=seeds)
        order = RunProbe(
            job=run_id, model=model, task="ioi", pairs=2, config=config, spool=str(spool), models="", activations=""
        )
        caused = [
            CauseScored(
                method="attribution",
                metric=METRIC,
                replacement=REPLACEMENT,
                base=1.5,
                n_examples=2,
                position="mean",
                effects=tuple(
                    HeadEffect(layer=layer, head=head, effect=-0.25) for layer in (0, 1) for head in range(3)
                ),
                passes=2.0,
                final=True,
            ),
            CircuitChecked(
                name="codes",
                heads=((0, 1),),
                metric=METRIC,
                replacement=REPLACEMENT,
                base=1.5,
                empty=0.0,
                n_examples=2,
                faithfulness=0.5,
                completeness=0.25,
                minimality=(HeadEffect(layer=0, head=1, effect=-0.5, error=0.125),),
                random_faithfulness=(0.0, 0.25),
                random_completeness=(0.0, 0.25),
                curve=(CurvePoint(size=1, faithfulness=0.5, completeness=0.25),),
                area=0.5,
                passes=9.0,
            ),
        ]
        events = [RunQueued(config=config, model=model, task="ioi"), RunStarted(), *script.normal(order), *caused]
        drafts = [
            Draft(
                session_id=session_id,
                run_id=run_id,
                event=event,
                spool=spool if isinstance(event, ArrayReady) and event.name == "codes" else None,
            )
            for event in events
        ]
        self.recorder.append(drafts)
        sha256, n_bytes = keep_by_content(spool / "sae.safetensors", self.sae)
        shutil.rmtree(spool)
        last = [ArrayKept(name="sae", sha256=sha256, n_bytes=n_bytes), RunEnded(state="done")]
        self.recorder.append([Draft(session_id=session_id, run_id=run_id, event=event) for event in last])
        return run_id

    def export(self, session: str, goal: Path, *, sae: bool = False) -> Exported:
        head = head_of(self.store, session)
        with BundleWriter(self.spool, head) as writer:
            for after in range(0, head.last_seq, BATCH):
                writer.add(rows_of(self.store, head.session_id, after_seq=after, up_to=head.last_seq))
            for run_id in writer.codes_wanted:
                writer.add_codes(run_id, codes_of(self.store, run_id))
            return writer.finish(goal, sae=self.sae if sae else None, force=True)

    def take(self, path: Path, **how: Any) -> Any:
        with Bundle(path, self.spool) as bundle:
            options = {"name": None, "as_copy": False} | how
            imported, _ = take_in(self.recorder, bundle, sae=self.sae, **options)
        return imported

    def counts(self) -> list[tuple[Any, ...]]:
        tables = (
            "event",
            "session",
            "run",
            "code",
            "step",
            "node_score",
            "example_set",
            "note",
            "tag",
            "circuit",
            "cause",
        )
        sql = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in tables)  # noqa: S608
        return self.store.rows(sql)

    def drop(self, session_id: str) -> None:
        """Takes an imported session out again, so that the next file meets the same store."""
        runs = [
            run_id for (run_id,) in self.store.rows("SELECT run_id FROM run WHERE session_id = $s", {"s": session_id})
        ]
        with self.store.transaction() as con:
            for table in ("event", "session", "example_set", "note", "tag", "circuit", "run"):
                con.execute(f"DELETE FROM {table} WHERE session_id = $s", {"s": session_id})  # noqa: S608
            for table in ("code", "step", "node_score", "edge_score", "grade", "cause", "circuit_check"):
                for run_id in runs:
                    con.execute(f"DELETE FROM {table} WHERE run_id = $r", {"r": run_id})  # noqa: S608
        self.recorder.forget()


# ---- taking bundles apart and sealing them again


Parts = dict[str, bytes]


_QUEUED = re.compile(rb'"kind": ?"run_queued"')


def open_up(raw: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def seal(parts: Parts, *, honest: bool = True) -> bytes:
    """A zip of the parts; `honest` makes the manifest say what they are."""
    if honest:
        manifest = json.loads(parts[MANIFEST])
        manifest["members"] = [
            {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in parts.items()
            if name != MANIFEST
        ]
        lines = parts.get(EVENTS, b"").splitlines()
        manifest["counts"] = {
            "events": len(lines),
            "runs": sum(_QUEUED.search(line) is not None for line in lines),
            "codes": sum(name.startswith("codes/") for name in parts),
            "sae": sum(name.startswith("sae/") for name in parts),
        }
        parts = {**parts, MANIFEST: json.dumps(manifest).encode()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in parts.items():
            zipped.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


# ---- mutations


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**31 - 1,
    2**63,
    -(2**63),
    10**30,
    10**400,
    1.5,
    -0.0,
    1e308,
    "",
    " ",
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    "\x00",
    "\x1b]52;c;aGk=\x07",
    "\u202e",
    "\ud800",
    "[@click=app.quit]x[/]",
    "a" * 5_000,
    "s0000000000000",
    "r0000000000000",
    [],
    [1],
    [[0, 0]],
    [[-1, 5]],
    [[10**9, 10**9]],
    {},
    {"kind": "run_queued"},
    {"kind": "nothing"},
    "running",
    "done",
    "NaN",
    "'; DROP TABLE event; --",
    [[[[[[[[]]]]]]]],
)


def spoil_bytes(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    data = bytearray(raw)
    match rng.randrange(9):
        case 0 | 1:
            for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            del data[rng.randrange(len(data)) :]
        case 3:
            start = rng.randrange(len(data))
            del data[start : start + rng.choice((1, 4, 46, 1000))]
        case 4:
            data[rng.randrange(len(data)) : 0] = rng.randbytes(rng.choice((1, 4, 22, 500)))
        case 5:
            data += rng.choice((b"\0", rng.randbytes(30), other, bytes(data[-22:])))
        case 6:
            a, b = sorted((rng.randrange(len(data)), rng.randrange(len(other))))
            data = bytearray(raw[:a] + other[b:])
        case 7:
            # The directory and its end: where tricks are played.
            start = max(0, len(data) - 1500)
            for _ in range(rng.choice((1, 2, 4))):
                data[rng.randrange(start, len(data))] = rng.choice((0, 1, 8, 0x7F, 0xFF, rng.randrange(256)))
        case _:
            start = rng.randrange(len(data))
            data[start : start + 200] = bytes(len(data[start : start + 200]))
    return bytes(data)


def spoil_json(rng: random.Random, value: Any) -> Any:
    """The value with one thing in it changed, somewhere."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(child, dict | list):
                walk(child)

    walk(value)
    if not places:
        return rng.choice(ODD)
    node, key = rng.choice(places)
    match rng.randrange(8):
        case 0 if isinstance(node, dict):
            del node[key]
        case 0:
            node.append(rng.choice(ODD))
        case 1 if isinstance(node, dict):
            node[rng.choice(("extra", "kind", "__class__", "path"))] = rng.choice(ODD)
        case 2 if isinstance(node[key], int) and not isinstance(node[key], bool):
            node[key] += rng.choice((-1, 1, 1000, 2**31, 2**63))
        case 3 if isinstance(node[key], list):
            node[key] = node[key] * rng.choice((2, 50))
        case 4:
            other, place = rng.choice(places)
            node[key] = other[place] if place in other or (isinstance(place, int) and place < len(other)) else None
        case _:
            node[key] = rng.choice(ODD)
    return value


def as_json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"{}"


def spoil_log(rng: random.Random, parts: Parts) -> Parts:
    lines = parts[EVENTS].splitlines(keepends=True)
    at = rng.randrange(len(lines))
    match rng.randrange(12):
        case 0:
            lines.insert(at, lines[rng.randrange(len(lines))])
        case 1:
            del lines[at]
        case 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = rng.choice(
                (b"\n", b"null\n", b"[" * 60_000 + b"\n", b'{"seq":' * 5_000 + b"\n", b"\xff\xfe\n", b"{}")
            )
        case 4:
            raw = bytearray(lines[at])
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            lines[at] = bytes(raw)
        case 5:
            # Numbers set right again after something was taken out: only the meaning is wrong.
            del lines[at : at + rng.choice((1, 3, 10))]
            lines = renumbered(lines)
        case 6:
            lines = renumbered([*lines[:at], lines[rng.randrange(len(lines))], *lines[at:]])
        case _:
            lines[at] = as_json(spoil_json(rng, json.loads(lines[at]))) + b"\n"
    return {**parts, EVENTS: b"".join(lines)}


def renumbered(lines: list[bytes]) -> list[bytes]:
    told = []
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            value["seq"] = number
            told.append(as_json(value) + b"\n")
        except (ValueError, TypeError):
            told.append(line)
    return told


def spoil_array(rng: random.Random, parts: Parts) -> Parts:
    """An array or a table changed, and the manifest made to agree."""
    name = rng.choice([name for name in parts if "/" in name])
    data = bytearray(parts[name])
    told = dict(parts)
    match rng.randrange(8):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            data[:8] = struct.pack("<Q", rng.choice((0, 1, 2**63, len(data), 2**40, 7)))
        case 2:
            data += rng.randbytes(100)
        case 3:
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 4:
            data = data.replace(b"I32", rng.choice((b"F32", b"I64", b"BOO"))).replace(b"[2,", b"[9,")
        case 5:
            data = bytearray(rng.randbytes(rng.choice((0, 1, 100, 5000))))
        case 6:
            del told[name]
            new = rng.choice(("codes/r0000000000000.safetensors", f"sae/{'0' * 64}.safetensors", "tables/evil.parquet"))
            told[new] = bytes(data)
            return told
        case _:
            other = rng.choice([name for name in parts if "/" in name])
            data = bytearray(parts[other])
    told[name] = bytes(data)
    return told


# ---- made by hand


def raw_zip(entries: list[dict[str, Any]], *, tail: bytes = b"", count: int | None = None) -> bytes:
    """A zip file byte by byte: every field may lie."""
    body, directory = bytearray(), bytearray()
    for entry in entries:
        data, name = entry.get("data", b""), entry["name"]
        name = name if isinstance(name, bytes) else name.encode()
        method = entry.get("method", 8)
        if method == 8:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = deflate.compress(data) + deflate.flush()
        else:
            packed = data
        packed = entry.get("packed", packed)
        crc, size = entry.get("crc", zlib.crc32(data)), entry.get("size", len(data))
        extra, comment = entry.get("extra", b""), entry.get("comment", b"")
        offset = entry.get("offset", len(body))
        common = struct.pack(
            "<3H2H3L", 20, entry.get("flags", 0), method, 0, 33, crc, entry.get("n_packed", len(packed)), size
        )
        local = common if "local" not in entry else common[:-4] + struct.pack("<L", entry["local"])
        body += b"PK\3\4" + local + struct.pack("<2H", len(name), len(extra)) + name + extra + packed
        directory += b"PK\1\2" + struct.pack("<H", 0x0314) + common
        directory += struct.pack(
            "<5H2L", len(name), len(extra), len(comment), 0, 0, entry.get("mode", 0o100644) << 16, offset
        )
        directory += name + extra + comment
    number = len(entries) if count is None else count
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, number & 0xFFFF, number & 0xFFFF, len(directory), len(body), len(tail)
    )
    return bytes(body + directory + end + tail)


def made_by_hand(rng: random.Random, raw: bytes) -> bytes:
    parts = open_up(raw)
    entries: list[dict[str, Any]] = [{"name": name, "data": data} for name, data in parts.items()]
    victim = rng.choice(entries)
    other = rng.choice(entries)
    tricks: list[Callable[[], bytes | None]] = [
        lambda: victim.update(
            name=rng.choice(("../out.txt", "/tmp/out.txt", "..\\out.txt", "a/../../out", "C:\\x", "~/x", ""))
        ),
        lambda: entries.append(
            {"name": rng.choice(("../out.txt", "/tmp/out.txt", "x\0y", "\x1b[2J", "codes/../../x.safetensors"))}
        ),
        lambda: entries.append(dict(victim)),
        lambda: entries.append({**victim, "name": victim["name"].upper()}),
        lambda: victim.update(mode=0o120777, data=b"/etc/passwd"),
        lambda: victim.update(mode=rng.choice((0o010644, 0o040755, 0o060644, 0o140644))),
        lambda: victim.update(flags=rng.choice((1, 8, 0x800, 0x2000, 0x41))),
        lambda: victim.update(extra=struct.pack("<2H3Q", 1, 24, 1 << 40, 1 << 40, 0)),
        lambda: victim.update(comment=b"hello"),
        lambda: victim.update(data=bytes(rng.choice((10_000_000, 80_000_000)))),
        lambda: victim.update(data=bytes(5_000_000), size=100, local=100),
        lambda: victim.update(size=2**32 - 2, local=2**32 - 2),
        lambda: victim.update(offset=rng.choice((0, 1, 2**31, 2**32 - 1))),
        lambda: victim.update(crc=rng.getrandbits(32)),
        lambda: victim.update(n_packed=rng.choice((0, 1, 2**31, 2**32 - 1))),
        lambda: victim.update(method=rng.choice((1, 9, 12, 14, 93, 99))),
        lambda: victim.update(packed=rng.randbytes(200)),
        lambda: victim.update(packed=zlib.compress(victim["data"])),
        lambda: victim.update(name=other["name"]),
        lambda: entries.remove(victim),
        lambda: rng.shuffle(entries),
        lambda: raw_zip(entries, tail=rng.randbytes(rng.choice((1, 22, 60_000)))),
        lambda: raw_zip(entries, count=rng.choice((0, 1, 65_535))),
        lambda: raw_zip([{"name": f"tables/t{i}.parquet"} for i in range(rng.choice((11_000, 60_000)))]),
        lambda: rng.randbytes(rng.choice((1, 100))) + raw_zip(entries),
        lambda: raw_zip(entries)[:-22] + raw_zip(entries),
        lambda: raw_zip([]),
        lambda: rng.choice((b"", b"PK", b"PK\5\6" + bytes(18), b"\x89PNG", b"\0" * 1000, b"PAR1" + bytes(100))),
        lambda: seal({**parts, EVENTS: parts[EVENTS] + b" " * 30_000_000}),
        lambda: seal({**parts, EVENTS: parts[EVENTS].replace(b"toy", b"y" * 2_000_000, 1)}),
        lambda: seal({**parts, EVENTS: b"".join([b"\n"] * 100_000)}),
        lambda: seal({**parts, MANIFEST: b'{"format":"headcode-bundle","version":99,"headcode":"9"}'}, honest=False),
        lambda: seal({**parts, MANIFEST: b"[" * 200_000}, honest=False),
        lambda: seal({EVENTS: parts[EVENTS]}, honest=False),
    ]
    made = rng.choice(tricks)()
    return made if isinstance(made, bytes) else raw_zip(entries)


# ---- example files


JSONL = "".join(
    json.dumps(
        {
            "prompt": f"When {i} met",
            "polarity": side,
            "expected": [" B"],
            "foils": " A",
            "pair": rng_pair,
            "enabled": True,
        }
    )
    + "\n"
    for i, rng_pair in enumerate((1, 2, "x"))
    for side in ("positive", "negative")
)
LINES = '# mine\n+1 When A and B met => B | A, C\n-1 When A and C met => B | A\n+ Plain => "a, b"\n- Other =>\n'


def example_file(rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return spoil_bytes(rng, LINES.encode() * rng.choice((1, 3)), JSONL.encode())
    lines = JSONL.encode().splitlines(keepends=True)
    match rng.randrange(7):
        case 0:
            return spoil_bytes(rng, JSONL.encode(), LINES.encode())
        case 1:
            lines[rng.randrange(len(lines))] = rng.choice(
                (
                    b"[" * 100_000 + b"\n",
                    b'{"more": ' + b"[" * 100_000 + b"\n",
                    b'{"prompt":' * 20_000 + b"\n",
                    b'{"prompt": "' + b"a" * 5_000_000 + b'", "polarity": "positive"}\n',
                    b'{"prompt": "\\ud800", "polarity": "positive"}\n',
                    b'{"prompt": "a", "polarity": "positive", "pair": 1' + b"0" * 5_000 + b"}\n",
                    b'{"prompt": "a", "polarity": "positive", "pair": 9223372036854775808}\n',
                    b"\0" * 1000 + b"\n",
                    "\u2028\u2029\x85".encode() * 100 + b"\n",
                    b"{" + rng.randbytes(100) + b"\n",
                )
            )
        case 2:
            return b"".join(lines) * rng.choice((100, 20_000))
        case _:
            at = rng.randrange(len(lines))
            lines[at] = as_json(spoil_json(rng, json.loads(lines[at]))) + b"\n"
    return b"".join(lines)


# ---- the watch


class Watch:
    """A folder around the home, with files somebody might want to reach; says what changed in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.inside, self.files = root, root / "home", root / "files"
        for folder in (root / "cwd", root / "tmp", root / "outside"):
            folder.mkdir(parents=True)
        self.files.mkdir()
        (root / "outside" / "secret.txt").write_text("keep me")
        (root / "out.txt").write_text("keep me, too")
        self.before = self.look()

    def look(self) -> dict[str, str]:
        found = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if Path(folder, name) not in (self.inside, self.files)]
            for name in (*folders, *names):
                path = Path(folder, name)
                is_file = path.is_file() and not path.is_symlink()
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "folder"
        return found

    def changes(self) -> list[str]:
        now = self.look()
        return sorted(path for path in now.keys() | self.before.keys() if now.get(path) != self.before.get(path))


class Torture:
    """One home, and every file thrown at it."""

    def __init__(self, root: Path) -> None:
        self.watch = Watch(root)
        made = Home(root / "maker")
        session = made.session()
        paths = [
            self.watch.files / "sae.headcode",
            self.watch.files / "plain.headcode",
            self.watch.files / "other.headcode",
        ]
        made.export(session, paths[0], sae=True)
        made.export(session, paths[1])
        made.export(made.session(runs=1), paths[2])
        made.close()
        shutil.rmtree(root / "maker")
        self.bases = [path.read_bytes() for path in paths]
        self.home = Home(self.watch.inside)
        self.counts = self.home.counts()
        self.refused: collections.Counter[str] = collections.Counter()
        self.accepted: collections.Counter[str] = collections.Counter()
        self.troubles: list[str] = []
        self.slowest = (0.0, "")

    def close(self) -> None:
        self.home.close()

    def throw(self, number: int, seed: int) -> None:
        """Makes file `number` of this seed and lets the real code look at it."""
        rng = random.Random(f"{seed}/{number}")
        base = rng.choice(self.bases)
        share = number % 50
        if share < 12:
            self.bundle("bytes", number, spoil_bytes(rng, base, rng.choice(self.bases)))
        elif share < 17:
            self.bundle("by hand", number, made_by_hand(rng, base))
        elif share < 21:
            parts = open_up(base)
            parts[MANIFEST] = as_json(spoil_json(rng, json.loads(parts[MANIFEST])))
            self.bundle("manifest", number, seal(parts, honest=False))
        elif share < 36:
            self.bundle("log", number, seal(spoil_log(rng, open_up(base))))
        elif share < 41:
            self.bundle("arrays", number, seal(spoil_array(rng, open_up(self.bases[0]))))
        else:
            self.examples("examples", number, example_file(rng))

    def bundle(self, kind: str, number: int, raw: bytes) -> None:
        path = self.watch.files / "hostile.headcode"
        path.write_bytes(raw)
        begun = time.perf_counter()
        imported = None
        try:
            imported = self.home.take(path)
        except HeadcodeError as error:
            self.refused[kind] += 1
            if not error.message or "Traceback" in error.message:
                self.troubles.append(f"{kind} {number}: a refusal without words")
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what we look for
            self.troubles.append(f"{kind} {number}: crash {type(error).__name__}: {str(error)[:300]}")
            self.home.recorder.forget()
        self.slowest = max(self.slowest, (time.perf_counter() - begun, f"{kind} {number}"))
        if imported is not None:
            self.accepted[kind] += 1
            self.whole(kind, number, imported)
        if left := [entry.name for entry in self.home.spool.iterdir()]:
            self.troubles.append(f"{kind} {number}: left {left} in the spool folder")
        if self.home.counts() != self.counts:
            self.troubles.append(f"{kind} {number}: part of it is in the store")
        self.watched(kind, number)

    def whole(self, kind: str, number: int, imported: Any) -> None:
        """What was taken in must be all there, showable, and good enough to be handed on again."""
        session_id = imported.session.session_id
        try:
            detail = session_detail(self.home.store, session_id, last_seq=imported.n_events + 1)
            n_events = self.home.store.rows("SELECT count(*) FROM event WHERE session_id = $s", {"s": session_id})[0][0]
            if n_events != imported.n_events + 1 or len(detail.runs) != imported.n_runs:
                self.troubles.append(f"{kind} {number}: not all of it arrived")
            again = self.watch.files / "again.headcode"
            self.home.export(session_id, again)
            if self.home.take(again).arrival != "same":
                self.troubles.append(f"{kind} {number}: exported again, it is another session")
        except Exception as error:  # noqa: BLE001
            self.troubles.append(f"{kind} {number}: what was taken in cannot be used: {type(error).__name__}: {error}")
        self.home.drop(session_id)
        for path in self.home.sae.iterdir():
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
                self.troubles.append(f"{kind} {number}: weights under a wrong name")
            path.unlink()

    def examples(self, kind: str, number: int, raw: bytes) -> None:
        from tui.commands.reading import load_examples

        path = self.watch.files / "hostile.jsonl"
        path.write_bytes(raw)
        begun = time.perf_counter()
        try:
            found = load_examples(str(path))
            msgspec.json.encode(found)
            self.accepted[kind] += 1
        except HeadcodeError:
            self.refused[kind] += 1
        except BaseException as error:  # noqa: BLE001
            self.troubles.append(f"{kind} {number}: crash {type(error).__name__}: {str(error)[:300]}")
        self.slowest = max(self.slowest, (time.perf_counter() - begun, f"{kind} {number}"))
        self.watched(kind, number)

    def watched(self, kind: str, number: int) -> None:
        if changed := self.watch.changes():
            self.troubles.append(f"{kind} {number}: written outside: {changed}")
            self.watch.before = self.watch.look()


def torture(root: Path, numbers: Iterator[int] | range, seed: int) -> dict[str, Any]:
    """The tally of these files; `troubles` is empty when all is well."""
    at = Torture(root)
    try:
        for number in numbers:
            at.throw(number, seed)
    finally:
        at.close()
    return {
        "refused": dict(at.refused),
        "accepted": dict(at.accepted),
        "troubles": at.troubles,
        "slowest": list(at.slowest),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        root, first, last = options.part.split(":")
        os.chdir(Path(root).parent)
        print(json.dumps(torture(Path(root), range(int(first), int(last)), options.seed)))
        return 0
    tally: dict[str, collections.Counter[str]] = {"refused": collections.Counter(), "accepted": collections.Counter()}
    troubles: list[str] = []
    slowest: list[Any] = [0.0, ""]
    begun = time.monotonic()
    for first in range(0, options.count, CHUNK):
        last = min(options.count, first + CHUNK)
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            part = f"{folder}/watched:{first}:{last}"
            words = [sys.executable, __file__, "--part", part, "--seed", str(options.seed)]
            ran = subprocess.run(words, stdout=subprocess.PIPE, check=False)
        if ran.returncode:
            troubles.append(f"files {first}-{last - 1}: the process ended with {ran.returncode}")
            continue
        found = json.loads(ran.stdout.splitlines()[-1])
        for name, counter in tally.items():
            counter.update(found[name])
        troubles += found["troubles"]
        for trouble in found["troubles"]:
            print(f"  {trouble}", file=sys.stderr)
        slowest = max(slowest, found["slowest"])
        print(f"{last} files, {time.monotonic() - begun:.0f} s, {len(troubles)} troubles", file=sys.stderr, flush=True)
    for name, counter in tally.items():
        print(name, sum(counter.values()), dict(sorted(counter.items())))
    print(f"slowest {slowest[0]:.2f} s ({slowest[1]}); {time.monotonic() - begun:.0f} s in all")
    print(f"troubles {len(troubles)}")
    for trouble in troubles[:50]:
        print("  " + trouble)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
