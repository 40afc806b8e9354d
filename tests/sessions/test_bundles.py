"""Sessions that travel: the same bytes everywhere, all of it or nothing, and no harm from strangers."""

import contextlib
import getpass
import importlib.util
import json
import os
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import ProbeConfig
from engine.events import Scored
from sessions.bundle_log import without_paths
from sessions.client import stop_host
from sessions.errors import BadBundle, CannotWrite, Refusal, StoreError
from sessions.log import RunQueued, SessionImported, SessionRenamed, SessionTrashed
from sessions.queries import name_taken, session_detail
from sessions.record import Draft, rebuild
from sessions.schema import PROJECTIONS
from sessions.wire import (
    BundleExported,
    BundleImported,
    Codes,
    ExportSession,
    GetCodes,
    ImportBundle,
)


def _load() -> ModuleType:
    path = Path(__file__).parent.parent / "torture" / "bundles.py"
    spec = importlib.util.spec_from_file_location("torture_bundles", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = _load()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Any]:
    home = hostile.Home(tmp_path / "one")
    yield home
    home.close()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Any]:
    """Another machine."""
    home = hostile.Home(tmp_path / "two")
    yield home
    home.close()


@pytest.fixture
def file(home: Any, tmp_path: Path) -> Path:
    path = tmp_path / "mine.headcode"
    home.export(home.session(), path, sae=True)
    return path


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of somebody who is gone."""
    folder = tmp_path_factory.mktemp("honest")
    made = hostile.Home(folder / "maker")
    made.export(made.session(), folder / "mine.headcode", sae=True)
    made.close()
    return folder / "mine.headcode"


@pytest.fixture(scope="module")
def _wary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = hostile.Home(tmp_path_factory.mktemp("wary") / "home")
    yield home
    home.close()


@pytest.fixture
def wary(_wary: Any) -> Iterator[Any]:
    """A home that strangers try, one after another; none of them may leave anything in it."""
    before = _wary.counts()
    yield _wary
    assert _wary.counts() == before
    assert list(_wary.spool.iterdir()) == []
    assert list(_wary.sae.iterdir()) == []


def test_export_import_export_gives_identical_bytes(home: Any, away: Any, file: Path, tmp_path: Path) -> None:
    imported = away.take(file)
    assert imported.arrival == "new"
    again = tmp_path / "again.headcode"
    away.export(imported.session.session_id, again, sae=True)
    assert again.read_bytes() == file.read_bytes()
    home.export(imported.session.session_id, again, sae=True)
    assert again.read_bytes() == file.read_bytes()


def test_the_tables_there_are_those_here(home: Any, away: Any, file: Path) -> None:
    away.take(file)
    wanted = ("example_set", "example", "step", "node_score", "edge_score", "grade", "tag", "note", "circuit", "code")
    for table in wanted:
        sql = f"SELECT * FROM {table} ORDER BY ALL"  # noqa: S608
        assert home.store.rows(sql), table
        assert away.store.rows(sql) == home.store.rows(sql), table
    before = {name: away.store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in PROJECTIONS}  # noqa: S608
    rebuild(away.store)
    after = {name: away.store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in PROJECTIONS}  # noqa: S608
    assert after == before


def test_weights_arrive_under_the_name_of_their_content(home: Any, away: Any, file: Path) -> None:
    assert away.take(file).n_sae == 1
    assert {path.name for path in away.sae.iterdir()} == {path.name for path in home.sae.iterdir()}


def test_weights_that_are_gone_are_counted_not_invented(home: Any, tmp_path: Path) -> None:
    session = home.session()
    shutil.rmtree(home.sae)
    done = home.export(session, tmp_path / "b.headcode", sae=True)
    assert (done.sae_missing, done.manifest.counts.sae) == (1, 0)


def test_twice_is_recognised(away: Any, file: Path) -> None:
    away.take(file)
    counts = away.counts()
    assert away.take(file).arrival == "same"
    assert away.counts() == counts


def test_a_session_that_went_on_knows_its_older_file(home: Any, file: Path) -> None:
    (session,) = home.store.rows("SELECT session_id FROM session")[0]
    home.run(session)
    assert home.take(file).arrival == "older"


def test_work_on_an_imported_session_keeps_where_it_came_from(home: Any, away: Any, file: Path, tmp_path: Path) -> None:
    session = away.take(file).session.session_id
    away.run(session)
    path = tmp_path / "gone-on.headcode"
    away.export(session, path)
    assert b'"session_imported"' in hostile.open_up(path.read_bytes())["events.jsonl"]
    with pytest.raises(BadBundle, match="goes on where the one here ends") as refused:
        home.take(path)
    assert "--as-copy" in refused.value.hint
    third = hostile.Home(tmp_path / "three")
    with contextlib.closing(third):
        assert third.take(path).arrival == "new"


def test_a_session_with_other_content_is_refused_and_goes_beside(
    home: Any, away: Any, file: Path, tmp_path: Path
) -> None:
    parts = hostile.open_up(file.read_bytes())
    other = tmp_path / "other.headcode"
    other.write_bytes(hostile.seal({**parts, "events.jsonl": parts["events.jsonl"].replace(b"by hand", b"by feet")}))
    with pytest.raises(BadBundle, match="They differ from entry 6 on"):
        home.take(other)
    copy = home.take(other, as_copy=True)
    row = copy.session
    assert copy.arrival == "new"
    runs = session_detail(home.store, row.session_id, last_seq=0).runs
    assert len(runs) == 3
    assert home.store.rows("SELECT count(DISTINCT run_id), count(*) FROM run") == [(6, 6)]
    assert row.name.endswith(" 2")
    # A copy is a session of its own: exported, it imports beside the first without a word.
    path = tmp_path / "copy.headcode"
    home.export(row.session_id, path)
    assert away.take(file).arrival == away.take(path).arrival == "new"


def test_a_taken_name_gets_a_number_and_the_file_keeps_its_own(away: Any, honest: Path, tmp_path: Path) -> None:
    file = honest
    parts = hostile.open_up(file.read_bytes())
    manifest = json.loads(parts["manifest.json"])
    old = manifest["session"]["name"]
    taken = hostile.Home(tmp_path / "three")
    with contextlib.closing(taken):
        other = taken.session()
        taken.recorder.append([Draft(session_id=other, event=SessionRenamed(name=old))])
        assert name_taken(taken.store, old)
        assert taken.take(file).session.name == f"{old} 2"
        again = tmp_path / "again.headcode"
        taken.export(manifest["session"]["id"], again, sae=True)
        assert again.read_bytes() == file.read_bytes()
    named = away.take(file, name="what Ann\x1b found")
    assert named.session.name == "what Ann found"


def test_what_is_sent_is_there_to_be_seen_even_from_a_trash(home: Any, away: Any, tmp_path: Path) -> None:
    session, path = home.session(), tmp_path / "trash.headcode"
    home.recorder.append([Draft(session_id=session, event=SessionTrashed())])
    home.export(session, path)
    away.take(path)
    assert away.store.rows("SELECT trashed_us FROM session") == [(None,)]


def test_nothing_of_this_machine_travels(home: Any, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "my-gpt"
    session = home.session(model=str(folder))
    path = tmp_path / "private.headcode"
    home.export(session, path, sae=True)
    parts = hostile.open_up(path.read_bytes())
    whole = b"\n".join(parts.values())
    secrets = (str(tmp_path), str(Path.home()) + "/", f"PID {os.getpid()}", platform.node(), getpass.getuser())
    for secret in secrets:
        if len(secret) > 4:  # a shorter one stands in any zip by chance
            assert secret.encode() not in whole, secret
    assert b'"model":"my-gpt"' in parts["events.jsonl"]
    assert "…/config.json is odd.".encode() in parts["events.jsonl"]


@given(st.text(alphabet="/~. …:'(PID)019ahomeUsersroot-", max_size=60))
def test_text_without_paths_stays_as_it_is(text: str) -> None:
    once = without_paths(text)
    assert without_paths(once) == once


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot read /home/ann/models/my-gpt/config.json: x", "cannot read …/config.json: x"),
        ("see /home/ann, or /Users/bo", "see ~, or ~"),
        ("a / b, 3/4, and https://example.org/a/b", "a / b, 3/4, and https://example.org/a/b"),
        ("The worker (PID 123) died", "The worker died"),
    ],
)
def test_paths_lose_what_is_private(text: str, told: str) -> None:
    assert without_paths(text) == told


def test_other_tools_can_read_the_tables(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as zipped:
        zipped.extractall(tmp_path / "x")  # our own file
    con = duckdb.connect()
    folder = tmp_path / "x" / "tables"
    found = con.execute(f"SELECT count(*), max(head) FROM '{folder}/nodes.parquet'").fetchall()  # noqa: S608
    assert found == [(12, 2)]
    code = "SELECT code FROM '{}/codes.parquet' WHERE seed = 5 AND example = 1 AND layer = 1 AND head = 2"
    assert set(con.execute(code.format(folder)).fetchall()) == {(hostile.script.code(1, 1, 5),)}
    con.close()


def test_a_run_under_way_does_not_travel(home: Any, tmp_path: Path) -> None:
    session = home.session(runs=0)
    home.recorder.append(
        [Draft(session_id=session, run_id=hostile.new_id("r"), event=RunQueued(config=ProbeConfig(), model="toy"))]
    )
    with pytest.raises(BadBundle, match="Run 2 of the session is queued"):
        home.export(session, tmp_path / "x.headcode")
    assert list(tmp_path.glob("*.headcode*")) == []
    assert list(home.spool.iterdir()) == []


# ---- strangers


def sealed(change: Callable[[list[Any]], object], honest: Path, goal: Path) -> Path:
    """The bundle with its log changed and a manifest that agrees."""
    parts = hostile.open_up(honest.read_bytes())
    lines = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    change(lines)
    told = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    goal.write_bytes(hostile.seal({**parts, "events.jsonl": told}))
    return goal


def first(lines: list[Any], kind: str) -> Any:
    return next(line for line in lines if line["event"]["kind"] == kind)


def put(kind: str, **values: Any) -> Callable[[list[Any]], object]:
    return lambda lines: first(lines, kind)["event"].update(values)


LIES: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "a gap": (lambda lines: lines.pop(3), "line 4, has the number 5"),
    "doubled": (lambda lines: lines.insert(3, lines[3]), "line 5, has the number 4"),
    "no time": (lambda lines: lines[2].update(at_us=0), "line 3, has a time that cannot be"),
    "another field": (lambda lines: lines[2].update(path="/etc/passwd"), "line 3, is no log entry"),
    "another kind": (lambda lines: lines[2]["event"].update(kind="boom"), "line 3, is no log entry"),
    "a run of nobody": (lambda lines: lines[8].update(run_id="r0000000000000"[:13]), "never asked for"),
    "a path as a run": (lambda lines: lines[8].update(run_id="../../x"), "no run's id"),
    "head outside": (
        lambda lines: first(lines, "scored")["event"]["nodes"][0].update(layer=10**9),
        "names the head 1000000000.0",
    ),
    "edge outside": (
        lambda lines: first(lines, "edges_scored")["event"]["edges"][0].update(source=[-1, 0]),
        "the head -1.0",
    ),
    "effect outside": (
        lambda lines: first(lines, "cause_scored")["event"]["effects"][0].update(head=99),
        "the head 0.99",
    ),
    "huge model": (
        lambda lines: first(lines, "model_ready")["event"]["model"].update(n_layers=10**9),
        "a number of layers of 1000000000",
    ),
    "other examples under a known name": (
        lambda lines: first(lines, "examples_set")["event"]["examples"][0].update(prompt="swapped"),
        "which is not what they are",
    ),
    "a version there is not": (put("examples_stepped", version=7), "a version of 7"),
    "an array by path": (put("array_kept", sha256="../../x"), "without a checksum"),
    "a run without end": (put("run_ended", state="running"), "which is no end"),
    "a cut file": (put("array_ready", shape=[9, 9, 9]), "announces codes of the shape"),
    "an empty name": (put("session_created", name=" "), "a name of 1 characters"),
    "a number beyond": (put("session_created", task_seed=2**70), "hold what no session can"),
    "a config that is none": (lambda lines: first(lines, "run_queued")["event"]["config"].update(seeds=[]), "seeds="),
    "two beginnings": (
        lambda lines: lines[1].update(event=lines[0]["event"]),
        "makes the session anew",
    ),
    "an import at the end": (
        lambda lines: lines[-1].update(
            run_id=None,
            event={"kind": "session_imported", "bundle_sha256": "", "from_session": "", "headcode": ""},
        ),
        "ends the log with an import",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_log_that_cannot_be_is_refused(lie: str, wary: Any, honest: Path, tmp_path: Path) -> None:
    change, words = LIES[lie]
    path = sealed(change, honest, tmp_path / "lie.headcode")
    with pytest.raises(BadBundle, match=re.escape(words)) as refused:
        wary.take(path)
    assert refused.value.message.startswith("events.jsonl")


def test_an_untouched_log_sealed_the_same_way_is_taken(away: Any, honest: Path, tmp_path: Path) -> None:
    assert away.take(sealed(lambda _: None, honest, tmp_path / "truth.headcode")).arrival == "new"


@pytest.mark.parametrize("member", ["codes", "sae", "tables/nodes", "events", "manifest"])
def test_a_damaged_member_is_named(member: str, wary: Any, honest: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(honest) as zipped:
        info = next(info for info in zipped.infolist() if info.filename.startswith(member))
    raw = bytearray(honest.read_bytes())
    raw[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x55
    path = tmp_path / "damaged.headcode"
    path.write_bytes(raw)
    with pytest.raises(BadBundle, match=re.escape(info.filename)):
        wary.take(path)


def test_arrays_that_lie_are_named(wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = hostile.open_up(honest.read_bytes())
    codes = next(name for name in parts if name.startswith("codes/"))
    path = tmp_path / "lie.headcode"
    for raw in (
        parts[codes][:-4],
        parts[codes].replace(b"I32", b"F32"),
        b"\xff" * 8,
        parts[codes][:-4] + b"\0\0\0\x7f",
    ):
        path.write_bytes(hostile.seal({**parts, codes: raw}))
        with pytest.raises(BadBundle, match=re.escape(codes)):
            wary.take(path)
    weights = next(name for name in parts if name.startswith("sae/"))
    path.write_bytes(hostile.seal({**parts, weights: parts[weights][:-1] + b"x"}))
    with pytest.raises(BadBundle, match="not what its name says"):
        wary.take(path)


def test_consent_to_run_code_does_not_travel(away: Any, honest: Path, tmp_path: Path) -> None:
    """Doing the run again would execute what a stranger put on the hub."""
    path = sealed(
        put("run_queued", trust_remote_code=True, model="/tmp/evil/model"), honest, tmp_path / "evil.headcode"
    )
    away.take(path)
    found = away.store.rows("SELECT payload FROM event WHERE kind = 'run_queued' ORDER BY seq LIMIT 1")
    told = json.loads(found[0][0])
    assert (told["trust_remote_code"], told["model"]) == (False, "model")


def test_tables_are_never_read(away: Any, honest: Path, tmp_path: Path) -> None:
    """They are for others: whatever is in them, the log alone is believed."""
    parts = hostile.open_up(honest.read_bytes())
    told = {name: b"PAR1 nonsense" if name.startswith("tables/") else data for name, data in parts.items()}
    path, again = tmp_path / "odd.headcode", tmp_path / "again.headcode"
    path.write_bytes(hostile.seal(told))
    session = away.take(path).session.session_id
    away.export(session, again, sae=True)
    assert again.read_bytes() == honest.read_bytes()


def test_a_bomb_is_not_unpacked(wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = hostile.open_up(honest.read_bytes())
    path = tmp_path / "bomb.headcode"
    path.write_bytes(hostile.seal({**parts, "tables/nodes.parquet": bytes(90_000_000)}))
    assert path.stat().st_size < 400_000
    with pytest.raises(BadBundle, match="no session does that"):
        wary.take(path)


def test_a_later_format_says_what_to_do(wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = hostile.open_up(honest.read_bytes())
    later = json.loads(parts["manifest.json"]) | {"version": 2, "headcode": "9.0"}
    path = tmp_path / "later.headcode"
    path.write_bytes(hostile.seal({**parts, "manifest.json": json.dumps(later).encode()}))
    with pytest.raises(BadBundle, match=r"format version 2, written by Headcode 9\.0") as refused:
        wary.take(path)
    assert refused.value.hint == "Upgrade Headcode."


@pytest.mark.parametrize("raw", [b'{"format": "\xed\xa0\x80"}', b"[" * 100_000, b"", b"null", b'{"format": 1}'])
def test_a_manifest_that_is_none_is_named(raw: bytes, wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = hostile.open_up(honest.read_bytes())
    path = tmp_path / "odd.headcode"
    path.write_bytes(hostile.seal({**parts, "manifest.json": raw}, honest=False))
    with pytest.raises(BadBundle, match=r"manifest\.json"):
        wary.take(path)


def test_a_pipe_or_a_folder_is_no_bundle(wary: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(BadBundle):
            wary.take(path)


def test_a_write_that_fails_leaves_nothing(away: Any, honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last statement of the transaction fails: none of it is there, and the weights are gone again."""
    from sessions import record

    real, seen = record.append_rows, []

    def failing(con: Any, table: str, rows: Any) -> None:
        seen.append(table)
        real(con, table, rows)
        if table == "code" and seen.count("code") == 2:
            raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(record, "append_rows", failing)
    counts = away.counts()
    with pytest.raises(StoreError, match="full"):
        away.take(honest)
    monkeypatch.undo()
    assert away.counts() == counts
    assert list(away.sae.iterdir()) == []
    assert away.take(honest).arrival == "new"


# ---- goals


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    from sessions.beside import write_beside

    goal = tmp_path / "x.headcode"
    goal.write_bytes(b"mine")

    def fails(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CannotWrite, match="is there already"):
        write_beside(goal, fails, force=False)
    with pytest.raises(CannotWrite, match="No space left"):
        write_beside(goal, fails, force=True)
    assert goal.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    for odd in (tmp_path, tmp_path / "nowhere" / "x", Path("relative")):
        with pytest.raises(CannotWrite):
            write_beside(odd, fails, force=False)


# ---- the host


async def test_a_session_goes_from_host_to_host(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    folder = Path(tempfile.mkdtemp(prefix="hc-"))
    other = type(lab)(folder / "home")
    try:
        one, two = folder / "one.headcode", folder / "two.headcode"
        ask = ExportSession(session=run.session_id, path=str(one), sae=True)
        done = (await client.ask(ask, BundleExported)).exported
        assert done.n_bytes == one.stat().st_size
        there = await other.connect()
        imported = (await there.ask(ImportBundle(path=str(one)), BundleImported)).imported
        assert (imported.arrival, imported.n_runs, imported.n_sae) == ("new", 1, 1)
        await there.ask(ExportSession(session=run.session_id, path=str(two), sae=True), BundleExported)
        assert one.read_bytes() == two.read_bytes()
        # It replays: the log there is the log here, and after it the word of where it came from.
        detail = await other.detail(there, run.session_id)
        here = await lab.entries(client, run.session_id, lambda have: len(have) == detail.last_seq - 1)
        told = await other.entries(there, run.session_id, lambda have: len(have) == detail.last_seq)
        assert told[:-1] == here
        assert isinstance(told[-1].event, SessionImported)
        assert any(isinstance(entry.event, Scored) for entry in told)
        codes = (await there.ask(GetCodes(run=run.run_id, layer=1, head=2), Codes)).codes
        assert codes == (await client.ask(GetCodes(run=run.run_id, layer=1, head=2), Codes)).codes
        # And it goes on: a run of its own, in the same session.
        again = await other.again(there, run.session_id)
        assert again.number == 2
        _, end = await other.finish(there, again)
        assert end.state == "done"
        with pytest.raises(Refusal, match="is there already"):
            await client.ask(ask, BundleExported)
    finally:
        await other.close()
        await stop_host(other.places)
        shutil.rmtree(folder)


async def test_a_file_that_is_none_is_refused_by_the_host(lab: Any) -> None:
    client = await lab.connect()
    path = Path(tempfile.mkdtemp(prefix="hc-")) / "bad.headcode"
    path.write_bytes(b"PK\5\6" + bytes(18))
    with pytest.raises(Refusal, match="no Headcode bundle"):
        await client.ask(ImportBundle(path=str(path)), BundleImported)
    assert (await lab.status(client)).worker_state in ("none", "starting", "warm")
    shutil.rmtree(path.parent)


# ---- the torture, in part


def test_hostile_files_do_no_harm(tmp_path: Path) -> None:
    """Fifty of the five thousand; all of them: tests/torture/bundles.py."""
    found = hostile.torture(tmp_path / "watched", range(50), seed=7)
    assert found["troubles"] == []
    assert sum(found["refused"].values()) > 30
    assert found["accepted"]
