"""Test exported sessions: the same bytes everywhere, complete, and nothing of this machine."""

import contextlib
import datetime
import getpass
import json
import os
import platform
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import ProbeConfig
from sessions.bundle.portable_log import strip_paths
from sessions.errors import BadBundle, CannotWrite
from sessions.events import RunQueued, SessionRenamed, SessionTrashed
from sessions.ids import new_id
from sessions.store.connection import connect
from sessions.store.migrations import PROJECTIONS
from sessions.store.queries import name_taken, session_detail
from sessions.store.recorder import EventDraft, rebuild

from ...torture.home import Home, script
from ...torture.sealing import open_up, seal


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
    assert b'"session_imported"' in open_up(path.read_bytes())["events.jsonl"]
    with pytest.raises(BadBundle, match="continues after the end of the one here") as refused:
        home.take(path)
    assert "--as-copy" in refused.value.hint
    third = Home(tmp_path / "three")
    with contextlib.closing(third):
        assert third.take(path).arrival == "new"


def test_a_session_with_other_content_is_refused_and_goes_beside(
    home: Any, away: Any, file: Path, tmp_path: Path
) -> None:
    parts = open_up(file.read_bytes())
    other = tmp_path / "other.headcode"
    other.write_bytes(seal({**parts, "events.jsonl": parts["events.jsonl"].replace(b"by hand", b"by feet")}))
    with pytest.raises(BadBundle, match="They differ from entry 6 on"):
        home.take(other)
    copy = home.take(other, as_copy=True)
    row = copy.session
    assert copy.arrival == "new"
    runs = session_detail(home.store, row.session_id, last_seq=0).runs
    assert len(runs) == 3
    assert home.store.rows("SELECT count(DISTINCT run_id), count(*) FROM run") == [(6, 6)]
    assert row.name.endswith(" 2")
    # A copy is an independent session: exported, it can be imported beside the first.
    path = tmp_path / "copy.headcode"
    home.export(row.session_id, path)
    assert away.take(file).arrival == away.take(path).arrival == "new"


def test_a_taken_name_gets_a_number_and_the_file_keeps_its_own(away: Any, honest: Path, tmp_path: Path) -> None:
    file = honest
    parts = open_up(file.read_bytes())
    manifest = json.loads(parts["manifest.json"])
    old = manifest["session"]["name"]
    taken = Home(tmp_path / "three")
    with contextlib.closing(taken):
        other = taken.session()
        taken.recorder.append([EventDraft(session_id=other, event=SessionRenamed(name=old))])
        assert name_taken(taken.store, old)
        assert taken.take(file).session.name == f"{old} 2"
        again = tmp_path / "again.headcode"
        taken.export(manifest["session"]["id"], again, sae=True)
        assert again.read_bytes() == file.read_bytes()
    named = away.take(file, name="what Ann\x1b found")
    assert named.session.name == "what Ann found"


def test_what_is_sent_is_there_to_be_seen_even_from_a_trash(home: Any, away: Any, tmp_path: Path) -> None:
    session, path = home.session(), tmp_path / "trash.headcode"
    home.recorder.append([EventDraft(session_id=session, event=SessionTrashed())])
    home.export(session, path)
    away.take(path)
    assert away.store.rows("SELECT trashed_us FROM session") == [(None,)]


def test_nothing_of_this_machine_travels(home: Any, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "my-gpt"
    session = home.session(model=str(folder))
    path = tmp_path / "private.headcode"
    home.export(session, path, sae=True)
    parts = open_up(path.read_bytes())
    whole = b"\n".join(parts.values())
    secrets = (str(tmp_path), str(Path.home()) + "/", f"PID {os.getpid()}", platform.node(), getpass.getuser())
    for secret in secrets:
        if len(secret) > 4:  # a shorter one occurs in any zip by chance
            assert secret.encode() not in whole, secret
    assert b'"model":"my-gpt"' in parts["events.jsonl"]
    assert "…/config.json is odd.".encode() in parts["events.jsonl"]


@given(st.text(alphabet="/~. …:'(PID)019ahomeUsersroot-", max_size=60))
def test_text_without_paths_stays_as_it_is(text: str) -> None:
    once = strip_paths(text)
    assert strip_paths(once) == once


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("cannot read /home/ann/models/my-gpt/config.json: x", "cannot read …/config.json: x"),
        ("see /home/ann, or /Users/bo", "see ~, or ~"),
        ("a / b, 3/4, and https://example.org/a/b", "a / b, 3/4, and https://example.org/a/b"),
        ("The worker (PID 123) died", "The worker died"),
    ],
)
def test_paths_lose_what_is_private(text: str, output: str) -> None:
    assert strip_paths(text) == output


def test_other_tools_can_read_the_tables(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as zipped:
        zipped.extractall(tmp_path / "x")  # a file of our own
    con = connect(":memory:")
    folder = tmp_path / "x" / "tables"
    found = con.execute(f"SELECT count(*), max(head) FROM '{folder}/nodes.parquet'").fetchall()  # noqa: S608
    assert found == [(12, 2)]
    code = "SELECT code FROM '{}/codes.parquet' WHERE seed = 5 AND example = 1 AND layer = 1 AND head = 2"
    assert set(con.execute(code.format(folder)).fetchall()) == {(script.code(1, 1, 5),)}
    con.close()


def test_a_run_under_way_does_not_travel(home: Any, tmp_path: Path) -> None:
    session = home.session(runs=0)
    home.recorder.append(
        [EventDraft(session_id=session, run_id=new_id("r"), event=RunQueued(config=ProbeConfig(), model="toy"))]
    )
    with pytest.raises(BadBundle, match="Run 2 of the session is queued"):
        home.export(session, tmp_path / "x.headcode")
    assert list(tmp_path.glob("*.headcode*")) == []
    assert list(home.spool.iterdir()) == []


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    from sessions.files.atomic_write import write_atomically

    goal = tmp_path / "x.headcode"
    goal.write_bytes(b"mine")

    def fails(part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CannotWrite, match="exists already"):
        write_atomically(goal, fails, force=False)
    with pytest.raises(CannotWrite, match=r"x\.headcode cannot be written. The disk that holds .* is full"):
        write_atomically(goal, fails, force=True)
    assert goal.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    for odd in (tmp_path, tmp_path / "nowhere" / "x", Path("relative")):
        with pytest.raises(CannotWrite):
            write_atomically(odd, fails, force=False)


@pytest.mark.parametrize("year", [1970, 1980, 2019, 2150, 9998])
def test_whatever_a_clock_says_what_was_recorded_travels(
    year: int, home: Any, away: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with an empty battery reports 1970; one set wrong can report any year."""
    then = int(datetime.datetime(year, 6, 1, tzinfo=datetime.UTC).timestamp()) * 1_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: then)
    session, path = home.session(), tmp_path / "old.headcode"
    home.export(session, path, sae=True)
    row = away.take(path).session
    assert row.created_us == then // 1000
    again = tmp_path / "again.headcode"
    away.export(row.session_id, again, sae=True)
    assert again.read_bytes() == path.read_bytes()
    assert str(away.store.rows("SELECT min(created) FROM sessions")[0][0]).startswith(str(year))
