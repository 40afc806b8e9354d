"""Test names, tags, notes, search and the trash."""

from pathlib import Path
from typing import Any

import pytest

from engine.config import ProbeConfig
from engine.errors import NoSuchNode
from engine.examples import Example
from engine.protocol import RunProbe
from sessions.edits.examples import create_session
from sessions.edits.metadata import (
    MAX_NOTE,
    MAX_TAG,
    MAX_TAGS,
    change_tags,
    clean_note,
    clean_tag,
    remove_note,
    rename_session,
    restore_session,
    trash_session,
    write_note,
)
from sessions.edits.trash import find_orphans, old_trash, remove_files, remove_for_good, tables_of, whole_trash
from sessions.errors import BadName, NoSuchRecord, Refusal
from sessions.events import ArrayStored, RunEnded, RunQueued, RunStarted
from sessions.protocol import (
    ChangeTags,
    CreateSession,
    DiscardSession,
    Done,
    EmptyTrash,
    ListSessions,
    NoteAnswer,
    QueueRun,
    RemoveNote,
    RenameSession,
    RestoreSession,
    RunAnswer,
    SearchResults,
    SearchSessions,
    SessionAnswer,
    SessionsAnswer,
    SessionsRemoved,
    SetExamples,
    StepExamples,
    StopHost,
    TrashSession,
    WriteNote,
)
from sessions.rows import SessionRow
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS
from sessions.store.queries import find_run, find_session, recent_sessions, session_detail, session_notes
from sessions.store.recorder import Recorder, rebuild
from sessions.store.search import excerpt, search_sessions

from ..drafts import run_drafts

DAY_US = 86_400_000_000


@pytest.fixture
def recorder(tmp_path: Path):
    store = Store.open(tmp_path / "sessions.duckdb")
    yield Recorder(store)
    store.close()


def make(recorder: Recorder, name: str, *prompts: str, model: str = "toy", task: str | None = "ioi") -> SessionRow:
    examples = tuple(
        Example(prompt=prompt, polarity=polarity) for prompt in prompts for polarity in ("positive", "negative")
    )
    return create_session(recorder, CreateSession(name=name, model=model, task=task, examples=examples))[0]


def run_in(recorder: Recorder, script: Any, folder: Path, session: SessionRow, run_id: str, *, sae: str = "") -> str:
    """Add a finished run of the scripted worker to the session."""
    config, spool = ProbeConfig(seeds=(0, 1)), folder / "spool" / run_id
    order = RunProbe(
        job=run_id, model="toy", task="ioi", pairs=2, config=config, spool=str(spool), models="", activations=""
    )
    events = [RunQueued(config=config, model="toy"), RunStarted(), *script.normal(order)]
    if sae:
        events.append(ArrayStored(name="sae", sha256=sae, n_bytes=4))
    recorder.append(run_drafts(session.session_id, run_id, (*events, RunEnded(state="done")), spool))
    return run_id


def tables(store: Store) -> dict[str, list[Any]]:
    return {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in (*PROJECTIONS, "code", "event")}  # noqa: S608


# ---- names and tags


def test_a_session_gets_another_name_once(recorder: Recorder) -> None:
    one = make(recorder, "one")
    make(recorder, "two")
    row, recorded = rename_session(recorder, RenameSession(session="one", name=" ioi \x1b[31mfriday\n"))
    assert (row.name, row.session_id, len(recorded)) == ("ioi [31mfriday", one.session_id, 1)
    assert rename_session(recorder, RenameSession(session=one.session_id, name=row.name))[1] == []
    with pytest.raises(BadName, match="Another session is called 'two'") as found:
        rename_session(recorder, RenameSession(session=one.session_id, name="two"))
    assert "'two 2' is free" in found.value.hint
    with pytest.raises(BadName):
        rename_session(recorder, RenameSession(session="two", name="  "))


@pytest.mark.parametrize(
    ("given", "kept"),
    [(" IOI ", "ioi"), ("#paper/fig3", "paper/fig3"), ("to-check", "to-check"), ("Größe", "größe"), ("v1.2", "v1.2")],
)
def test_tags_are_short_words(given: str, kept: str) -> None:
    assert clean_tag(given) == kept


@pytest.mark.parametrize(
    "given", ["", " ", "#", "two words", "-x", "a\x1b[2J", "a,b", "x" * (MAX_TAG + 1), "x" * 5000, "\u202ea"]
)
def test_what_is_no_tag_is_refused_in_few_words(given: str) -> None:
    with pytest.raises(BadName) as found:
        clean_tag(given)
    assert found.value.hint
    assert len(found.value.message) < 120


def test_tags_come_and_go_sorted(recorder: Recorder) -> None:
    make(recorder, "one")
    assert change_tags(recorder, ChangeTags(session="one", add=("b", "#A", "b")))[0].tags == ("a", "b")
    row, recorded = change_tags(recorder, ChangeTags(session="one", add=("c", "a"), remove=("b",)))
    assert (row.tags, len(recorded)) == (("a", "c"), 1)
    assert change_tags(recorder, ChangeTags(session="one", add=("c",)))[1] == []
    with pytest.raises(NoSuchRecord, match="no tag 'b'") as found:
        change_tags(recorder, ChangeTags(session="one", remove=("b",)))
    assert "a, c" in found.value.hint
    with pytest.raises(BadName, match="35 tags"):
        change_tags(recorder, ChangeTags(session="one", add=tuple(f"t{n}" for n in range(MAX_TAGS + 1))))
    make(recorder, "two")
    assert [row.name for row in recent_sessions(recorder.store, limit=9, tag="c")] == ["one"]


# ---- notes


def test_notes_stand_on_the_session_a_run_or_a_head(recorder: Recorder, script, tmp_path: Path) -> None:
    session = make(recorder, "one")
    run = run_in(recorder, script, tmp_path, session, "r1")
    on_session = write_note(recorder, WriteNote(session="one", text="line\r\n\ttwo\x1b[2J\x00 \n\n"))[0][0]
    on_run = write_note(recorder, WriteNote(session="one", text="b", run="1"))[0][0]
    on_head = write_note(recorder, WriteNote(session="one", text="c", head=(1, 2)))[0][0]
    assert on_session.text == "line\n    two[2J"
    assert [(n.run_id, n.run_number, n.layer, n.head) for n in (on_session, on_run, on_head)] == [
        (None, None, None, None),
        (run, 1, None, None),
        (run, 1, 1, 2),
    ]
    changed = write_note(recorder, WriteNote(session="one", text="other", note=on_head.note_id))[0][0]
    assert (changed.note_id, changed.text, changed.layer, changed.run_id) == (on_head.note_id, "other", 1, run)
    assert remove_note(recorder, RemoveNote(session="one", note=on_run.note_id))[0][0].text == "b"
    detail = session_detail(recorder.store, session.session_id, last_seq=0)
    assert [note.text for note in detail.notes] == [on_session.text, "other"]
    before = tables(recorder.store)
    rebuild(recorder.store)
    assert tables(recorder.store) == before


def test_notes_that_make_no_sense_are_refused(recorder: Recorder, script, tmp_path: Path) -> None:
    one, two = make(recorder, "one"), make(recorder, "two")
    run_in(recorder, script, tmp_path, one, "r1")
    for wrong, error in (
        (WriteNote(session="one", text=" \n\x00"), BadName),
        (WriteNote(session="one", text="x" * (MAX_NOTE + 1)), BadName),
        (WriteNote(session="one", text="x", head=(9, 6)), NoSuchNode),
        (WriteNote(session="one", text="x", run="7"), NoSuchRecord),
        (WriteNote(session="two", text="x", run="r1"), NoSuchRecord),
        (WriteNote(session="two", text="x", head=(0, 0)), NoSuchRecord),
        (WriteNote(session="one", text="x", note="n0"), NoSuchRecord),
        (WriteNote(session="nobody", text="x"), NoSuchRecord),
    ):
        with pytest.raises(error) as found:
            write_note(recorder, wrong)
        assert found.value.hint
    assert session_notes(recorder.store, two.session_id) == []
    assert len(clean_note("y" * MAX_NOTE)) == MAX_NOTE


# ---- search


def test_search_looks_everywhere_and_puts_names_first(recorder: Recorder) -> None:
    make(recorder, "names in line", "Then Paris met")
    make(recorder, "paris", "When Mary met")
    make(recorder, "greater", "nothing", model="smollm2-135m", task="greater_than")
    change_tags(recorder, ChangeTags(session="greater", add=("paris",)))
    write_note(
        recorder, WriteNote(session="names in line", text="compare with the run that Élodie made in Paris today")
    )
    hits = search_sessions(recorder.store, "PARIS", limit=9)
    assert [(hit.session.name, [m.where for m in hit.matches]) for hit in hits] == [
        ("paris", ["name"]),
        ("greater", ["tag"]),
        ("names in line", ["note", "prompt"]),
    ]
    assert hits[2].matches[0].text == "...the run that Élodie made in Paris today"
    assert (hits[2].matches[1].text, hits[2].matches[1].more) == ("Then Paris met", 1)
    assert [hit.session.name for hit in search_sessions(recorder.store, "elodie paris", limit=9)] == ["names in line"]
    assert [hit.session.name for hit in search_sessions(recorder.store, "smollm2", limit=9)] == ["greater"]
    assert search_sessions(recorder.store, "paris mary nobody", limit=9) == []
    assert search_sessions(recorder.store, "%", limit=9) == []
    assert len(search_sessions(recorder.store, "paris", limit=1)) == 1
    for wrong in ("", "  ", "a " * 9, "x" * 201):
        with pytest.raises(BadName):
            search_sessions(recorder.store, wrong, limit=9)


def test_an_excerpt_shows_the_word_and_what_stands_around_it() -> None:
    assert excerpt("short", "ORT") == "short"
    long = "a" * 100 + " needle " + "b" * 100
    assert excerpt(long, "needle") == "..." + "a" * 27 + " needle " + "b" * 27 + "..."


def test_an_unknown_session_is_answered_with_the_nearest_names(recorder: Recorder) -> None:
    for name in ("ioi friday", "ioi monday", "greater than"):
        make(recorder, name)
    with pytest.raises(NoSuchRecord) as found:
        find_session(recorder.store, "ioi fryday")
    assert found.value.hint.startswith("Did you mean 'ioi friday'")
    with pytest.raises(NoSuchRecord) as found:
        find_session(recorder.store, "q" * 5000)
    assert len(found.value.message) < 120


# ---- the trash


def test_what_is_in_the_trash_is_out_of_sight_until_it_is_restored(recorder: Recorder, script, tmp_path: Path) -> None:
    row = make(recorder, "one", "Then Paris met")
    run_in(recorder, script, tmp_path, row, "r1")
    store = recorder.store
    gone, _ = trash_session(recorder, TrashSession(session="one"))
    assert gone.trashed_us is not None
    assert recent_sessions(store, limit=9) == []
    assert [each.name for each in recent_sessions(store, limit=9, trashed=True)] == ["one"]
    assert search_sessions(store, "paris", limit=9) == []
    assert find_session(store, row.session_id) == row.session_id
    with pytest.raises(NoSuchRecord) as found:
        find_session(store, "one")
    assert "trash" in found.value.message
    assert "headcode sessions restore one" in found.value.hint
    for unseen in (lambda: find_session(store, "latest"), lambda: find_run(store, "latest")):
        with pytest.raises(NoSuchRecord):
            unseen()
    for change in (
        lambda: change_tags(recorder, ChangeTags(session=row.session_id, add=("x",))),
        lambda: trash_session(recorder, TrashSession(session=row.session_id)),
    ):
        with pytest.raises(NoSuchRecord, match="is in the trash"):
            change()
    other = make(recorder, "one")
    assert other.name == "one"  # a name in the trash can be used again
    back, recorded = restore_session(recorder, RestoreSession(session="one"))
    assert (back.name, back.session_id, back.trashed_us, len(recorded)) == ("one 2", row.session_id, None, 2)
    with pytest.raises(NoSuchRecord, match="is not in the trash"):
        restore_session(recorder, RestoreSession(session="one"))
    with pytest.raises(NoSuchRecord, match="no session 'x' in the trash"):
        restore_session(recorder, RestoreSession(session="x"))


def test_the_trash_is_emptied_of_what_is_old_and_of_nothing_else(recorder: Recorder, script, tmp_path: Path) -> None:
    store, weights = recorder.store, tmp_path / "sae"
    weights.mkdir()
    for name in ("aa", "bb", "cc"):
        (weights / f"{name}.safetensors").write_bytes(b"1234")
    rows = [make(recorder, name, "the same prompt", f"of {name}") for name in ("one", "two", "three")]
    for row, run, sae in zip(rows, ("r1", "r2", "r3"), ("aa", "aa", "bb"), strict=True):
        run_in(recorder, script, tmp_path, row, run, sae=sae)
        write_note(recorder, WriteNote(session=row.session_id, text=f"note of {row.name}", head=(0, 1)))
        change_tags(recorder, ChangeTags(session=row.session_id, add=(row.name,)))
    alone = tables(store)
    for name in ("one", "three"):
        trash_session(recorder, TrashSession(session=name))
    thrown = store.rows("SELECT trashed_us FROM session WHERE name = 'three'")[0][0]
    assert old_trash(store, days=30, now_us=thrown + 29 * DAY_US) == []
    assert old_trash(store, days=0, now_us=thrown + 99 * DAY_US) == []
    old = old_trash(store, days=30, now_us=thrown + 30 * DAY_US)
    assert old == [rows[0].session_id, rows[2].session_id] == whole_trash(store)
    removed, _ = remove_for_good(recorder, old, weights)
    assert [row.name for row in removed.sessions] == ["one", "three"]
    assert [path.name for path in removed.files] == ["bb.safetensors"]  # "aa" belongs to "two", too
    assert remove_files(removed.files, settled_s=600) == 0  # it is new
    assert remove_files(removed.files, settled_s=0) == 4
    assert [path.name for path in find_orphans(store, weights, settled_s=0)] == ["cc.safetensors"]
    left = tables(store)
    for table, before in alone.items():
        kept = [row for row in before if not {rows[0].session_id, rows[2].session_id, "r1", "r3"} & set(map(str, row))]
        if table not in ("example", "event"):
            assert left[table] == kept, table
    assert {row[0] for row in left["event"]} == {rows[1].session_id}
    prompts = {row[0] for row in store.rows("SELECT prompt FROM example")}
    assert {"the same prompt", "of two"} <= prompts
    assert not {"of one", "of three"} & prompts
    rebuild(store)
    assert tables(store) == left
    assert remove_for_good(recorder, old, weights)[0].sessions == []
    again = make(recorder, "one")
    assert recorder.last_seq(again.session_id) == 1


def test_removing_for_good_is_one_transaction(recorder: Recorder, tmp_path: Path, monkeypatch) -> None:
    make(recorder, "one")
    trash_session(recorder, TrashSession(session="one"))
    before = tables(recorder.store)
    # If it is stopped half-way, even by a statement that fails late, nothing changes.
    by_session, by_run = tables_of(recorder.store)
    monkeypatch.setattr("sessions.edits.trash.tables_of", lambda _: ([*by_session, "no_such_table"], by_run))
    with pytest.raises(Exception, match="no_such_table"):
        remove_for_good(recorder, whole_trash(recorder.store), tmp_path)
    assert tables(recorder.store) == before


def test_every_table_is_known_to_belong_to_a_session_or_a_run(recorder: Recorder) -> None:
    """A new table has to be added to the deletion of sessions, or this test fails."""
    tables = {str(name) for (name,) in recorder.store.rows("SELECT table_name FROM duckdb_tables() WHERE NOT internal")}
    by_session, by_run = tables_of(recorder.store)
    assert {"session", "event", "run", "note", "example_set"} <= set(by_session)
    assert {"step", "code", "node_score"} <= set(by_run)
    # Examples are shared by content; an atlas is a model's.
    assert tables - set(by_session) - set(by_run) == {"meta", "example", "atlas", "atlas_node"}


async def test_a_session_with_a_run_under_way_is_not_deleted(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    with pytest.raises(Refusal, match=r"cannot be deleted: its run 1") as found:
        await client.ask(TrashSession(session=run.session_id), SessionAnswer)
    assert found.value.family == "input"
    assert "x in headcode --session" in found.value.hint


async def test_the_host_answers_all_of_it_and_tells_everyone(lab) -> None:
    client, other = await lab.connect(), await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    session = run.session_id
    await client.ask(RenameSession(session=session, name="kept"), SessionAnswer)
    await client.ask(ChangeTags(session="kept", add=("x",)), SessionAnswer)
    received = await lab.entries(other, session, lambda have: any(type(e.event).__name__ == "TagsSet" for e in have))
    assert [e.seq for e in received] == list(range(1, len(received) + 1))
    assert [hit.session.name for hit in (await client.ask(SearchSessions(text="kept"), SearchResults)).hits] == ["kept"]
    await client.ask(TrashSession(session="kept"), SessionAnswer)
    for refused in (QueueRun(session=session), SetExamples(session=session, examples=())):
        with pytest.raises(Refusal, match="in the trash"):
            await client.ask(refused, RunAnswer)
    assert (await client.ask(ListSessions(), SessionsAnswer)).sessions == ()
    sae = lab.places.data / "sae"
    n_bytes = sum(path.stat().st_size for path in sae.iterdir())
    assert n_bytes > 0
    emptied = await client.ask(EmptyTrash(), SessionsRemoved)
    assert [row.name for row in emptied.sessions] == ["kept"]
    assert emptied.n_bytes == n_bytes
    assert list(sae.iterdir()) == []
    assert (await client.ask(ListSessions(trashed=True), SessionsAnswer)).sessions == ()
    with pytest.raises(Refusal, match="There is no session"):
        await lab.detail(client, session)
    assert (await client.ask(EmptyTrash(), SessionsRemoved)).sessions == ()


async def test_a_session_is_discarded_where_its_run_was_refused(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "broken")
    _, end = await lab.finish(client, run)
    assert (end.state, end.failure.family) == ("failed", "input")
    gone = await client.ask(DiscardSession(session=run.session_id), SessionsRemoved)
    assert [row.session_id for row in gone.sessions] == [run.session_id]
    assert (await client.ask(ListSessions(), SessionsAnswer)).sessions == ()
    assert (await client.ask(ListSessions(trashed=True), SessionsAnswer)).sessions == ()


@pytest.mark.parametrize("of_account", ["a run that was done", "a crash", "a note", "an edit", "a name", "a wait"])
async def test_a_session_that_holds_anything_is_not_discarded(lab, of_account: str) -> None:
    client = await lab.connect()
    kinds = {"a run that was done": "normal", "a crash": "die:9", "a wait": "wait"}
    run = await lab.queue(client, kinds.get(of_account, "broken"))
    if of_account != "a wait":
        await lab.finish(client, run)
    session = run.session_id
    if of_account == "a note":
        await client.ask(WriteNote(session=session, text="why?"), NoteAnswer)
    elif of_account == "an edit":
        own = (Example(prompt="a", polarity="positive"), Example(prompt="b", polarity="negative"))
        await client.ask(SetExamples(session=session, examples=own), SessionAnswer)
    elif of_account == "a name":
        await client.ask(RenameSession(session=session, name="mine"), SessionAnswer)
    for edited in (False, True):
        asked = DiscardSession(session=session, edited=edited)
        assert (await client.ask(asked, SessionsRemoved)).sessions == ()
    assert [row.session_id for row in (await client.ask(ListSessions(), SessionsAnswer)).sessions] == [session]


async def test_a_session_whose_examples_were_all_removed_is_discarded_only_if_asked(lab) -> None:
    client = await lab.connect()
    asked = CreateSession(name="own", model="toy", task=None)
    session = (await client.ask(asked, SessionAnswer)).session.session_id
    one = (Example(prompt="a", polarity="positive"),)
    for examples in (one, (), one):
        await client.ask(SetExamples(session=session, examples=examples), SessionAnswer)
    assert (await client.ask(DiscardSession(session=session, edited=True), SessionsRemoved)).sessions == ()
    await client.ask(StepExamples(session=session, by=-1), SessionAnswer)
    assert (await client.ask(DiscardSession(session=session), SessionsRemoved)).sessions == ()
    gone = (await client.ask(DiscardSession(session=session, edited=True), SessionsRemoved)).sessions
    assert [row.session_id for row in gone] == [session]


async def test_the_host_empties_old_trash_when_it_starts(lab) -> None:
    client = await lab.connect()
    row = await lab.session(client, name="old")
    await client.ask(TrashSession(session="old"), SessionAnswer)
    await client.ask(StopHost(), Done)
    await client.close()
    lab.places.settings.parent.mkdir(parents=True, exist_ok=True)
    lab.places.settings.write_text("[host]\ntrash_days = 0.0000001\n")
    client = await lab.connect()
    with pytest.raises(Refusal, match="There is no session"):
        await lab.detail(client, row.session_id)
