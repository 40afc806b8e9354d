"""Import hostile files: bundles and example files, mutated or made by hand.

python -m tests.torture.bundles --count 5000 --seed 0

Every file is processed by the code of the host and the command line, in a separate home with a watched folder around
it. The result must be a plain refusal or a complete session; nothing may be written outside the home or left behind. A
process that dies counts as a crash caused by its file.
"""

import argparse
import collections
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import HeadcodeError
from sessions.protocol.bundle_manifest import MANIFEST
from sessions.store.queries import session_detail

from .home import Home
from .sealing import open_up, seal
from .spoiling import as_json, example_file, made_by_hand, spoil_array, spoil_bytes, spoil_json, spoil_log

CHUNK = 250
"""Files per process: a process that dies loses the rest of them, and is counted."""


class Watch:
    """A folder around the home, with files worth attacking; reports changes in it."""

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
    """One home, and every file tried in it."""

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
        """Make file `number` of this seed and process it with the real code."""
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
        """Check that an imported session is complete, can be shown and can be exported again."""
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
        from tui.headless.read_examples import load_examples

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
    """Return counts for these files; `troubles` is empty if all is well."""
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
            words = [sys.executable, "-m", "tests.torture.bundles", "--part", part, "--seed", str(options.seed)]
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
