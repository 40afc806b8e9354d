"""Kill whatever puts a store, or a file of one, in its place, at every system call that changes a name or a file.

    python -m tests.torture.exchange                     # all cases, about ten minutes
    python -m tests.torture.exchange --case exchange checkpoint

Every case is one piece of work: an exchange of a damaged store for its repaired one, a repair, the finishing of an
interrupted exchange, a new store, an upgrade, a checkpoint, SAE weights that are kept, a bundle taken in, a trash that
is emptied. It is done in a child under strace, which kills it as it is about to make the nth call of a kind, for every
n and every kind. Then the next command comes: all rows of all tables must be there, and no file that was must be gone.
Prints a report as JSON. Exit 0: nothing was lost.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sessions.edits.trash import remove_for_good
from sessions.errors import SessionError, StoreDamaged
from sessions.files.journal import journals_of, read_journal
from sessions.files.store_exchange import exchange, exchange_record, finish_exchange, repaired_path
from sessions.recovery.repair import place, repair
from sessions.store.database import Store

from .home import Home
from .killing import counted, in_child, killed_at

STORES = Path(__file__).parents[1] / "sessions" / "stores"
Rows = dict[str, list[str]]


class Case(NamedTuple):
    """One piece of work that is killed."""

    prepare: Callable[[Path], object]
    work: Callable[[Path], object]
    judge: Callable[[Path, Any], str]
    """Describes the resulting state. Raises AssertionError if anything is lost."""


def rows_of(store: Store) -> Rows:
    """Return every row of every table, as text, sorted."""
    return {
        name: sorted(repr(row) for row in store.rows(f"SELECT * FROM {name}"))  # noqa: S608
        for name in store.tables()
        if name != "meta"
    }


def all_rows(path: Path) -> Rows:
    store = Store.open(path)
    try:
        return rows_of(store)
    finally:
        store.close()


def sums(folder: Path) -> set[str]:
    return {hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.iterdir() if each.is_file()}


def lay_old(path: Path, schema: int = 1) -> None:
    path.write_bytes(gzip.decompress((STORES / f"schema-{schema}.duckdb.gz").read_bytes()))
    path.chmod(0o600)


def lay_journal(path: Path, tags: int = 30) -> None:
    """Make a store of the current schema with a journal that a killed host left."""
    lay_old(path)
    pid = os.fork()
    if pid == 0:
        store = Store.open(path)
        store.checkpoint()
        for number in range(tags):
            with store.transaction() as con:
                con.execute("INSERT INTO tag VALUES ('s', $tag)", {"tag": f"tag {number}"})
        os._exit(0)  # before the store is closed
    os.waitpid(pid, 0)
    for copy in path.parent.glob(f"{path.stem}.schema-*"):
        copy.unlink()
    for each in (path, *journals_of(path)):
        each.chmod(0o600)
    assert read_journal(journals_of(path)[0]).commits >= tags


def lay_damaged(path: Path) -> Path:
    """Make the same store with a damaged byte in the middle of the journal."""
    lay_journal(path)
    (wal,) = journals_of(path)
    content = bytearray(wal.read_bytes())
    content[len(content) // 2] ^= 0x55
    wal.write_bytes(content)
    return path


def check_private(path: Path) -> None:
    for each in path.parent.iterdir():
        if each.is_file() and "duckdb" in each.name:
            assert each.stat().st_mode & 0o077 == 0, f"{each.name} has mode {each.stat().st_mode & 0o777:o}"


def as_it_comes(path: Path) -> tuple[str, Rows]:
    """Return what the next command finds; if it is refused, follow its hint first."""
    try:
        return "opens", all_rows(path)
    except StoreDamaged as error:
        hint = error.hint
    assert "headcode doctor --repair" in hint, hint
    finish_exchange(path)
    report = repair(path)
    assert report.repaired
    place(path, Path(report.repaired).name)
    return "refused, repaired", all_rows(path)


# -- an exchange, and what comes before and after it


def _prepare_repaired(folder: Path) -> Any:
    path = lay_damaged(folder / "sessions.duckdb")
    repair(path)
    kept = sorted(sums(folder))
    new = repaired_path(path)
    aside = folder / "look" / "sessions.duckdb"
    aside.parent.mkdir()
    shutil.copyfile(new, aside)
    rows = all_rows(aside)
    shutil.rmtree(aside.parent)
    return {"rows": rows, "sums": [kept], "begun": False}


def _prepare_begun(folder: Path) -> Any:
    output = _prepare_repaired(folder)
    path = folder / "sessions.duckdb"

    def begin() -> object:
        moves = iter((True, True, False))
        real = Path.rename

        def rename(self: Path, goal: Path) -> Path:
            if not next(moves):
                os._exit(0)
            return real(self, goal)

        Path.rename = rename  # type: ignore[method-assign,assignment]
        return exchange(path, repaired_path(path))

    pid = os.fork()
    if pid == 0:
        begin()
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert exchange_record(path).exists()
    assert not path.exists()
    return output


def _judge_exchange(folder: Path, output: Any) -> str:
    path = folder / "sessions.duckdb"
    before = "no store" if not path.exists() else "old store" if journals_of(path) else "new store"
    state, rows = as_it_comes(path)
    assert rows == output["rows"], "rows differ"
    assert not exchange_record(path).exists()
    gone = set(output["sums"][0]) - sums(folder)
    # the repaired store was opened, so its file has changed
    assert len(gone) <= 1, "a file of the damaged store is gone"
    check_private(path)
    return f"{before}, {state}"


def _judge_repair(folder: Path, output: Any) -> str:
    path = folder / "sessions.duckdb"
    assert set(output["sums"][0]) <= sums(folder), "a damaged file was touched"
    state, rows = as_it_comes(path)
    assert rows == output["rows"], "rows differ"
    assert not list(folder.glob("repair-*")), "a salvage folder is left"
    check_private(path)
    return state


def _prepare_repair(folder: Path) -> Any:
    path = lay_damaged(folder / "sessions.duckdb")
    output = sorted(sums(folder))
    other = folder / "look"
    other.mkdir()
    for each in (path, *journals_of(path)):
        shutil.copy(each, other)
    rows = as_it_comes(other / path.name)[1]
    shutil.rmtree(other)
    return {"rows": rows, "sums": [output]}


# -- a new store, an upgrade, a checkpoint


def _judge_new(folder: Path, _told: Any) -> str:
    state = "there" if (folder / "sessions.duckdb").exists() else "half" if list(folder.iterdir()) else "nothing"
    assert all(not rows for rows in all_rows(folder / "sessions.duckdb").values())
    assert [each.name for each in folder.iterdir()] == ["sessions.duckdb"]
    check_private(folder / "sessions.duckdb")
    return state


def _prepare_upgrade(folder: Path) -> Any:
    path = folder / "sessions.duckdb"
    lay_old(path)
    rows = all_rows(path)
    for each in folder.iterdir():
        each.unlink()
    lay_old(path)
    return {"rows": rows, "sums": sorted(sums(folder))}


def _judge_upgrade(folder: Path, output: Any) -> str:
    path = folder / "sessions.duckdb"
    state = "copied" if list(folder.glob("*.schema-1.duckdb")) else "not copied"
    assert all_rows(path) == output["rows"], "rows differ"
    assert set(output["sums"]) <= sums(folder), "no copy of the old store"
    check_private(path)
    return f"{state}, opens"


def _prepare_checkpoint(folder: Path) -> Any:
    path = folder / "sessions.duckdb"
    lay_journal(path)
    other = folder / "look"
    other.mkdir()
    for each in (path, *journals_of(path)):
        shutil.copy(each, other)
    rows = all_rows(other / path.name)
    shutil.rmtree(other)
    return {"rows": rows}


def _checkpoint(folder: Path) -> None:
    store = Store.open(folder / "sessions.duckdb")
    store.checkpoint()
    store.close()


def _judge_rows(folder: Path, output: Any) -> str:
    path = folder / "sessions.duckdb"
    state = "+".join(each.name.removeprefix(path.name) for each in journals_of(path)) or "no journal"
    assert all_rows(path) == output["rows"], "rows differ"
    return state


# -- weights, bundles, the trash


def _home(folder: Path) -> Home:
    return Home(folder)


def _prepare_home(folder: Path) -> Any:
    home = Home(folder)
    session = home.session()
    home.export(session, folder / "one.headcode", sae=True)
    rows = rows_of(home.store)
    home.close()
    return {"rows": rows, "session": session}


def _take_in(folder: Path) -> None:
    home = _home(folder)
    home.take(folder / "one.headcode", as_copy=True)
    home.close()


def _prepare_import(folder: Path) -> Any:
    output = _prepare_home(folder)
    other = folder.with_name("whole")
    shutil.copytree(folder, other)
    _take_in(other)
    whole = {name: len(rows) for name, rows in all_rows(other / "sessions.duckdb").items()}
    shutil.rmtree(other)
    return output | {"whole": whole}


def _judge_import(folder: Path, output: Any) -> str:
    rows = all_rows(folder / "sessions.duckdb")
    for name, before in output["rows"].items():
        assert set(before) <= set(rows[name]), f"rows of {name} are gone"
    counts = {name: len(each) for name, each in rows.items()}
    assert counts in ({name: len(each) for name, each in output["rows"].items()}, output["whole"]), "half a session"
    _check_weights(folder)
    _take_in(folder)
    return "whole" if counts == output["whole"] else "not there"


def _check_weights(folder: Path) -> None:
    """Check that all weights that a run names exist and match the hash in their name."""
    store = Store.open(folder / "sessions.duckdb")
    named = {sha for (sha,) in store.rows("SELECT DISTINCT sae_sha256 FROM run WHERE sae_sha256 IS NOT NULL")}
    store.close()
    there = {each.stem: each for each in (folder / "sae").glob("*.safetensors")}
    assert named <= set(there), "weights that a run names are gone"
    for name, each in there.items():
        assert hashlib.sha256(each.read_bytes()).hexdigest() == name, "half a file of weights"


def _run_once_more(folder: Path) -> None:
    home = _home(folder)
    (session,) = home.store.rows("SELECT session_id FROM session")[0]
    home.run(session)
    home.close()


def _judge_run(folder: Path, output: Any) -> str:
    rows = all_rows(folder / "sessions.duckdb")
    for name in ("event", "run", "note", "tag", "code"):
        assert set(output["rows"][name]) <= set(rows[name]), f"rows of {name} are gone"
    _check_weights(folder)
    return f"{len(rows['run']) - len(output['rows']['run'])} more runs"


def _empty_trash(folder: Path) -> None:
    home = _home(folder)
    sessions = [str(session) for (session,) in home.store.rows("SELECT session_id FROM session")]
    remove_for_good(home.recorder, sessions, home.sae)
    home.close()


def _judge_trash(folder: Path, output: Any) -> str:
    rows = all_rows(folder / "sessions.duckdb")
    whole = rows == output["rows"]
    assert whole or not any(rows.values()), "half a session"
    if whole:
        _check_weights(folder)
    _empty_trash(folder)
    return "whole" if whole else "gone"


def _path(work: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: work(folder / "sessions.duckdb")


CASES = {
    "exchange": Case(_prepare_repaired, _path(place), _judge_exchange),
    "finish": Case(_prepare_begun, _path(finish_exchange), _judge_exchange),
    "repair": Case(_prepare_repair, _path(repair), _judge_repair),
    "create": Case(lambda _: {}, _path(lambda path: Store.open(path).close()), _judge_new),
    "upgrade": Case(_prepare_upgrade, _path(lambda path: Store.open(path).close()), _judge_upgrade),
    "checkpoint": Case(_prepare_checkpoint, _checkpoint, _judge_rows),
    "weights": Case(_prepare_home, _run_once_more, _judge_run),
    "import": Case(_prepare_import, _take_in, _judge_import),
    "trash": Case(_prepare_home, _empty_trash, _judge_trash),
}


def torture(name: str, root: Path, most: int) -> dict[str, Any]:
    """Kill the case at every call, or at `most` of each kind, evenly spread."""
    case, begun = CASES[name], time.monotonic()
    laid, folder = root / "laid", root / "data"
    laid.mkdir(parents=True)
    output = in_child(lambda: case.prepare(laid))

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(laid, folder)

    fresh()
    calls = counted(lambda: case.work(folder))
    kills: Counter[str] = Counter()
    states: Counter[str] = Counter()
    lost: list[str] = []
    missed = 0
    for call, times in sorted(calls.items()):
        step = max(1, times // most)
        for number in range(1, times + 1, step):
            fresh()
            if not killed_at(lambda: case.work(folder), call, number):
                missed += 1
            else:
                kills[call] += 1
            try:
                states[in_child(lambda: _verdict(case, folder, output))] += 1
            except RuntimeError as error:
                lost.append(f"{call} {number}: {error}")
                shutil.copytree(folder, root / f"lost-{call}-{number}")
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "calls": dict(calls),
        "kills": dict(kills),
        "killed": kills.total(),
        "done_before": missed,
        "states": dict(states),
        "lost": lost,
        "seconds": round(time.monotonic() - begun, 1),
    }


def _verdict(case: Case, folder: Path, output: Any) -> str:
    try:
        return case.judge(folder, output)
    except (AssertionError, SessionError) as error:
        print(error, getattr(error, "hint", ""), sorted(each.name for each in folder.iterdir()), file=sys.stderr)
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--most", type=int, default=10_000, help="kills for each kind of call")
    options = parser.parse_args()
    os.umask(0o022)  # a user's shell has this
    root = Path(tempfile.mkdtemp(prefix="hc-exchange-"))
    report: dict[str, Any] = {}
    for name in options.case:
        report[name] = torture(name, root / name, options.most)
        print(name, json.dumps(report[name]), file=sys.stderr)
    killed = sum(each["killed"] for each in report.values())
    lost = sum(len(each["lost"]) for each in report.values())
    print(json.dumps({"killed": killed, "lost": lost, "cases": report}, indent=2))
    if not lost:
        shutil.rmtree(root)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
