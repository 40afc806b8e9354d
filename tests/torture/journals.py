"""Damage a store's journal in every way, anywhere: it opens with every acknowledged row, or is refused with a message.

    python -m tests.torture.journals --tries 3000 --seed 1

A store is written by a host that is killed, so that its last commits lie in the journal. Then the journal is damaged: a
byte flipped, zeros, noise or text over a part or all of it, bytes taken out or put in, a wrong end. Never may it open
with less than was acknowledged: where it is refused, a repair must save every commit before the damage. Only a journal
that is cut short opens with less, and then with exactly what came before the cut: a crash leaves the same.
Prints a report as JSON. Exit 0: nothing was silently less.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import HeadcodeError
from sessions.errors import StoreDamaged
from sessions.files.journal import COMMIT, journals_of
from sessions.recovery.repair import repair
from sessions.store.database import Store

from .exchange import lay_journal
from .killing import in_child

KINDS = ("flip", "bit", "zeros", "noise", "text", "take out", "put in", "swap", "end", "cut")
_TEXT = b"Dear aunt, thank you for the socks. "


class Laid(NamedTuple):
    """A store and its journal, as bytes, and what was acknowledged."""

    store: bytes
    journal: bytes
    tags: list[str]
    commits: list[int]
    """Where each commit ends in the journal."""


def lay(folder: Path) -> Laid:
    """Make them. To be called in a process that opens no store itself."""
    path = folder / "sessions.duckdb"
    in_child(lambda: lay_journal(path))
    (wal,) = journals_of(path)
    journal = wal.read_bytes()
    ends, at = [], -1
    while (at := journal.find(COMMIT, at + 1)) >= 0:
        ends.append(at + len(COMMIT))
    tags = [f"tag {number}" for number in range(30)]
    assert len(ends) >= len(tags)
    return Laid(path.read_bytes(), journal, tags, ends)


def classes(laid: Laid) -> dict[str, list[int]]:
    """Return positions in the journal by what is there."""
    header = read_header(laid)
    last = laid.commits[-1]
    frames = list(_frames(laid.journal, header))
    return {
        "first byte": [0],
        "header": list(range(1, header)),
        "length of an entry": [at + byte for at in frames for byte in range(8)],
        "checksum of an entry": [at + byte for at in frames for byte in range(8, 16)],
        "inside an entry": [at + 16 for at in frames],
        "between commits": [end + shift for end in laid.commits[:-1] for shift in (-1, 0)],
        "the end": list(range(last - len(COMMIT), last)),
    }


def read_header(laid: Laid) -> int:
    return laid.journal.index(b"\xff\xff") + 2


def _frames(journal: bytes, at: int) -> Iterator[int]:
    while at < len(journal):
        yield at
        at += 16 + int.from_bytes(journal[at : at + 8], "little")


def damage(journal: bytes, kind: str, at: int, chance: random.Random) -> bytes:
    """Return the journal with that kind of damage at that position; never the same bytes."""
    data = bytearray(journal)
    length = chance.choice((1, 2, 8, 16, 64, 512, 4096, len(data)))
    part = slice(at, min(at + length, len(data)))
    size = part.stop - part.start
    match kind:
        case "flip":
            data[at] ^= 0xFF
        case "bit":
            data[at] ^= 1 << chance.randrange(8)
        case "zeros":
            data[part] = bytes(size)
        case "noise":
            data[part] = chance.randbytes(size)
        case "text":
            data[part] = (_TEXT * (size // len(_TEXT) + 1))[:size]
        case "take out":
            del data[at : at + chance.randrange(1, 20)]
        case "put in":
            data[at:at] = chance.randbytes(chance.randrange(1, 20))
        case "swap":
            other = chance.randrange(len(data))
            data[at], data[other] = data[other], data[at]
        case "end":
            data += chance.choice((bytes(40), chance.randbytes(40), _TEXT))
        case "cut":
            del data[at:]
    return bytes(data)


def outcome(folder: Path, laid: Laid, journal: bytes, *, mend: bool = True) -> str:
    """Return how a damaged journal ends. Raises AssertionError if rows are silently missing."""
    folder.mkdir(exist_ok=True)
    path = folder / "sessions.duckdb"
    wal = path.with_name(path.name + ".wal")
    path.write_bytes(laid.store)
    wal.write_bytes(journal)
    try:
        store = Store.open(path)
    except StoreDamaged as error:
        refused = error
    else:
        return _opened(store, laid, journal)
    assert "headcode doctor --repair" in refused.hint, refused
    assert wal.read_bytes() == journal, "a journal that was refused was changed"
    assert path.read_bytes() == laid.store
    return _repaired(path, laid, journal) if mend else "refused"


def _opened(store: Store, laid: Laid, journal: bytes) -> str:
    found = _tags(store)
    store.close()
    if laid.journal.startswith(journal[:-7]):
        # Cut short; of fewer than 8 bytes at the end it is unknown whether they are the length of an entry.
        whole = sum(end <= len(journal) for end in laid.commits)
        assert len(found) >= whole - (len(laid.commits) - len(laid.tags)), (len(found), whole)
        assert found == laid.tags[: len(found)]
        return "opened up to the cut"
    assert found == laid.tags, f"opened with {len(found)} of {len(laid.tags)}"
    return "opened with all"


def _repaired(path: Path, laid: Laid, journal: bytes) -> str:
    report = repair(path)
    assert report.repaired
    assert path.with_name(path.name + ".wal").read_bytes() == journal
    store = Store.open(Path(report.repaired))
    found = _tags(store)
    store.close()
    same = next((at for at, (a, b) in enumerate(zip(journal, laid.journal, strict=False)) if a != b), len(laid.journal))
    before = sum(end <= same for end in laid.commits) - (len(laid.commits) - len(laid.tags))
    # A damaged header is rebuilt, and what is before the first damaged entry is complete.
    assert len(found) >= before, f"repaired with {len(found)}, {before} lie before the damage"
    assert found == laid.tags[: len(found)]
    if len(found) < len(laid.tags):
        assert not report.sound
        assert "lost" in report.words, report.words
        return "refused, repaired in part"
    return "refused, repaired whole"


def _tags(store: Store) -> list[str]:
    found = [tag for (tag,) in store.rows("SELECT tag FROM tag WHERE session_id = 's'")]
    return sorted(found, key=lambda tag: int(tag.split()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun, chance = time.monotonic(), random.Random(options.seed)
    root = Path(tempfile.mkdtemp(prefix="hc-journals-"))
    (root / "laid").mkdir()
    laid = lay(root / "laid")
    places = classes(laid)
    found: dict[str, Counter[str]] = {}
    faults: list[str] = []
    for number in range(options.tries):
        where = chance.choice([*places, "anywhere"])
        at = chance.choice(places[where]) if where in places else chance.randrange(len(laid.journal))
        kind = chance.choice(KINDS)
        journal = damage(laid.journal, kind, at, chance)
        if journal == laid.journal:
            continue
        try:
            came = outcome(root / "data", laid, journal)
        except (AssertionError, RuntimeError, HeadcodeError) as error:
            faults.append(f"{number}: {kind} at {at} ({where}): {type(error).__name__}: {error}")
            came = "FAULT"
        found.setdefault(f"{kind}, {where}", Counter())[came] += 1
        shutil.rmtree(root / "data")
    total: Counter[str] = sum(found.values(), Counter())
    report: dict[str, Any] = {"tried": total.total(), "outcomes": dict(total), "faults": faults}
    report |= {"by_kind": {key: dict(value) for key, value in sorted(found.items())}}
    print(json.dumps(report | {"seconds": round(time.monotonic() - begun, 1)}, indent=2))
    shutil.rmtree(root)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
