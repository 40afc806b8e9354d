"""Names and tags of runs: one name per session, a reference wherever a run is named, carried by bundles."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from engine.config import ProbeConfig
from engine.examples import Example
from sessions.comparison.comparison import ComparisonSide
from sessions.edits.examples import create_session
from sessions.edits.metadata import MAX_TAGS, rename_session, trash_session
from sessions.edits.run_labels import label_run
from sessions.errors import BadBundle, BadName, NoSuchRecord
from sessions.events import RunEnded, RunLabelled, RunQueued, RunStarted
from sessions.ids import name_trouble
from sessions.protocol import CreateSession, LabelRun, RenameSession, TrashSession
from sessions.store import log_reader, sql_console
from sessions.store.comparison_sides import find_side
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS
from sessions.store.queries import find_run, run_row, session_detail
from sessions.store.recorder import EventDraft, Recorder, rebuild
from sessions.store.run_lists import recent_runs
from sessions.store.search import search_sessions

from ...torture.home import Home
from ...torture.sealing import open_up, seal
from ..drafts import run_drafts

RUNS = ("r00000000000a", "r00000000000b", "r00000000000c")


@pytest.fixture
def recorder(tmp_path: Path):
    """Two sessions: ioi with two runs, other with one."""
    store = Store.open(tmp_path / "sessions.duckdb")
    found = Recorder(store)
    examples = (Example(prompt="a", polarity="positive"), Example(prompt="b", polarity="negative"))
    for name, runs in (("ioi", RUNS[:2]), ("other", RUNS[2:])):
        session = create_session(found, CreateSession(name=name, model="toy", examples=examples))[0]
        for run in runs:
            events = [RunQueued(config=ProbeConfig(), model="toy"), RunStarted(), RunEnded(state="done")]
            found.append(run_drafts(session.session_id, run, events, tmp_path))
    yield found
    store.close()


def label(recorder: Recorder, run: str, **change: Any) -> Any:
    return label_run(recorder, LabelRun(run=run, **change))[0]


def test_a_name_is_a_reference_wherever_a_run_is_named(recorder: Recorder) -> None:
    store = recorder.store
    row = label(recorder, "ioi/2", name="  last \x1b[2Jtry ", add=("#Paper",))
    assert (row.name, row.tags, row.number) == ("last [2Jtry", ("paper",), 2)
    label(recorder, "ioi/2", name="best")
    assert [find_run(store, name) for name in ("ioi/best", "best", "ioi/2", RUNS[1])] == [RUNS[1]] * 4
    label(recorder, "other/1", name="best", add=("a", "b"))
    assert find_run(store, "other/best") == RUNS[2]
    with pytest.raises(NoSuchRecord, match="Runs of 2 sessions are called 'best'") as several:
        find_run(store, "best")
    assert several.value.hint == "Say which: other/best, ioi/best."
    for name, words in (("ioi/worst", "There is no run 'ioi/worst'"), ("no/best", "There is no session 'no'")):
        with pytest.raises(NoSuchRecord, match=words):
            find_run(store, name)
    trash_session(recorder, TrashSession(session="other"))
    assert find_run(store, "best") == RUNS[1]
    with pytest.raises(NoSuchRecord, match="in the trash"):
        label(recorder, RUNS[2], name="gone")


def test_a_side_of_a_comparison_is_a_run_by_name_unless_a_session_has_it(recorder: Recorder, tmp_path: Path) -> None:
    label(recorder, "ioi/1", name="first")
    side = find_side(recorder.store, "first", tmp_path)
    assert isinstance(side, ComparisonSide)
    assert (side.run_id, find_side(recorder.store, "ioi/first", tmp_path).run_id) == (RUNS[0], RUNS[0])
    rename_session(recorder, RenameSession(session="other", name="first"))
    assert find_side(recorder.store, "first", tmp_path).run_id == RUNS[2]  # as before runs had names


@pytest.mark.parametrize("name", ["3", "latest", "known", "a/b", "one@2", "circuit:x"])
def test_names_that_mean_something_else_are_refused(recorder: Recorder, name: str) -> None:
    assert name_trouble(name)
    with pytest.raises(BadName, match="A run cannot be called"):
        label(recorder, "ioi/1", name=name)
    assert run_row(recorder.store, RUNS[0]).name == ""


def test_what_can_be_wrong_with_names_and_tags(recorder: Recorder) -> None:
    label(recorder, "ioi/1", name="one", add=("x",))
    with pytest.raises(BadName, match="Run 1 of this session is called 'one'"):
        label(recorder, "ioi/2", name="one")
    assert label_run(recorder, LabelRun(run="ioi/1", name="one", add=("x",)))[1] == []  # nothing is recorded
    with pytest.raises(NoSuchRecord, match=r"Run 1 has no tag 'y'") as missing:
        label(recorder, "ioi/1", remove=("y",))
    assert missing.value.hint == "It has x."
    with pytest.raises(BadName, match="not a valid tag"):
        label(recorder, "ioi/1", add=("two words",))
    with pytest.raises(BadName, match=f"would have {MAX_TAGS + 1} tags"):
        label(recorder, "ioi/1", add=tuple(f"t{n}" for n in range(MAX_TAGS)))
    row = label(recorder, "ioi/1", name="", remove=("x",))
    assert (row.name, row.tags) == ("", ())


def test_lists_search_sql_and_the_timeline_have_them(recorder: Recorder) -> None:
    store = recorder.store
    label(recorder, "ioi/2", name="quiet one", add=("paper",))
    listed = recent_runs(store, limit=10)
    assert [(each.session, each.run.number, each.run.name) for each in listed] == [
        ("other", 1, ""),
        ("ioi", 2, "quiet one"),
        ("ioi", 1, ""),
    ]
    assert [each.run.run_id for each in recent_runs(store, tag="paper", limit=10)] == [RUNS[1]]
    assert {each.before for each in listed} == {None}
    before = [each.before for each in recent_runs(store, limit=10, with_before=True)]
    assert [row and row.run_id for row in before] == [None, RUNS[0], None]
    session = listed[1].run.session_id
    assert [each.run.number for each in recent_runs(store, session_id=session, limit=1)] == [2]
    assert session_detail(store, session, last_seq=0).runs[0].tags == ("paper",)
    (hit,) = search_sessions(store, "quiet", limit=5)
    assert [(match.where, match.text) for match in hit.matches] == [("run", "quiet one")]
    table = sql_console.ask(store.cursor(), "SELECT number, name, tags FROM runs WHERE name IS NOT NULL", limit=5)
    assert table.rows == ([2, "quiet one", ["paper"]],)
    words = [each.words for each in log_reader.timeline(store, session, pause_us=0, last_seq=99, run_id=None).markers]
    assert words[-1] == "run 2 named quiet one #paper"


def test_tables_made_again_from_the_log_are_the_same(recorder: Recorder) -> None:
    label(recorder, "ioi/1", name="one", add=("x",))
    label(recorder, "ioi/2", name="two")
    label(recorder, "ioi/2", name="")

    def tables() -> Any:
        return {name: recorder.store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in PROJECTIONS}  # noqa: S608

    before = tables()
    rebuild(recorder.store)
    assert tables() == before


def test_a_bundle_carries_them_and_a_forged_name_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(Home(tmp_path / "one")) as home, contextlib.closing(Home(tmp_path / "two")) as away:
        session = home.session()
        run = home.store.rows("SELECT run_id FROM run ORDER BY number DESC LIMIT 1")[0][0]
        home.recorder.append(
            [EventDraft(session_id=session, run_id=run, event=RunLabelled(name="best", tags=("a", "b")))]
        )
        path = tmp_path / "mine.headcode"
        home.export(session, path)
        away.take(path)
        assert away.store.rows("SELECT run_id, name, tags FROM run WHERE name IS NOT NULL") == [
            (run, "best", '["a","b"]')
        ]
        parts = open_up(path.read_bytes())
        for forged, words in ((b'"name":"latest"', "could be taken for something else"), (b'"name":" "', "1 to 200")):
            other = tmp_path / "forged.headcode"
            log = parts["events.jsonl"].replace(b'"name":"best"', forged)
            other.write_bytes(seal({**parts, "events.jsonl": log}))
            with pytest.raises(BadBundle, match=words):
                away.take(other, as_copy=True)
