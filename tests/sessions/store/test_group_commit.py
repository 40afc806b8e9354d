"""Test changes of many clients in one transaction: each as if it were alone, all or none of them stored."""

import random
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.events import Notice
from sessions.edits import metadata
from sessions.edits.examples import create_session
from sessions.errors import BadName, NoSuchRecord, StoreError, StoreUncertain
from sessions.events import NoteWritten, SessionCreated, SessionRenamed
from sessions.protocol import ChangeTags, CreateSession, RenameSession, WriteNote
from sessions.store.database import Store
from sessions.store.group_commit import BatchKind, ChangeResult, StoreChange, commit_together
from sessions.store.migrations import PROJECTIONS
from sessions.store.recorder import EventDraft, Recorder, rebuild


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(tmp_path / "sessions.duckdb")
    yield store
    store.close()


@pytest.fixture
def recorder(store: Store) -> Recorder:
    return Recorder(store)


def sessions(recorder: Recorder, n: int) -> list[str]:
    return [create_session(recorder, CreateSession(name=f"s{k}", model="toy"))[0].session_id for k in range(n)]


def note(session: str, text: str, **more: Any) -> StoreChange:
    request = WriteNote(session=session, text=text, **more)
    return StoreChange(lambda recorder: metadata.write_note(recorder, request), metadata.NOTES, request)


def rename(session: str, name: str) -> StoreChange:
    request = RenameSession(session=session, name=name)
    return StoreChange(lambda recorder: metadata.rename_session(recorder, request))


def tags(session: str, *add: str) -> StoreChange:
    return StoreChange(lambda recorder: metadata.change_tags(recorder, ChangeTags(session=session, add=add)))


def half(session: str) -> StoreChange:
    """Return a change that writes an entry, then fails in the middle of the next."""

    def work(recorder: Recorder) -> tuple[None, list[Any]]:
        recorder.append([EventDraft(session_id=session, event=NoteWritten(note_id="half", text="half"))])
        created = SessionCreated(name="twice", model="toy")
        return None, recorder.append([EventDraft(session_id=session, event=created)])

    return StoreChange(work)


def together(recorder: Recorder, *changes: StoreChange) -> list[ChangeResult]:
    """Commit all changes, in as many transactions as needed: after a rollback the rest waits."""
    found: dict[int, ChangeResult] = {}
    while left := [place for place in range(len(changes)) if place not in found]:
        done = commit_together(recorder, [changes[place] for place in left], within_s=1e6)
        assert done
        found |= {left[place]: outcome for place, outcome in done.items()}
    return [found[place] for place in range(len(changes))]


def tables(store: Store) -> dict[str, list[Any]]:
    return {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in (*PROJECTIONS, "event")}  # noqa: S608


def in_order(store: Store) -> None:
    """Check that every session's entries are numbered without gaps, and that the tables match the log."""
    for session, n, first, last in store.rows(
        "SELECT session_id, count(*), min(seq), max(seq) FROM event GROUP BY session_id"
    ):
        assert (first, last) == (1, n), session
    before = tables(store)
    rebuild(store)
    assert tables(store) == before


def texts(store: Store, session: str) -> list[str]:
    sql = "SELECT payload->>'$.text' FROM event WHERE session_id = $s AND kind = 'note_written' ORDER BY seq"
    return [text for (text,) in store.rows(sql, {"s": session})]


def test_many_changes_take_one_commit(recorder: Recorder) -> None:
    store = recorder.store
    ids = sessions(recorder, 4)
    before = store.commits
    found = together(recorder, *(note(each, f"note {k}") for k in range(5) for each in ids), tags(ids[0], "a"))
    assert store.commits == before + 1
    assert all(each.error is None for each in found)
    assert [texts(store, each) for each in ids] == [[f"note {k}" for k in range(5)]] * 4
    in_order(store)


def test_each_sees_what_those_before_it_did(recorder: Recorder) -> None:
    (one, two) = sessions(recorder, 2)
    first, second, third = together(
        recorder,
        rename(one, "mine"),
        rename(two, "mine"),
        StoreChange(lambda r: (metadata.session_row(r.store, one).name, [])),
    )
    assert first.answer.name == "mine"
    assert isinstance(second.error, BadName)
    assert third.answer == "mine"


def test_a_change_that_is_refused_takes_nothing_with_it(recorder: Recorder) -> None:
    store = recorder.store
    (one, two) = sessions(recorder, 2)
    before = store.commits
    found = together(recorder, rename(one, "new"), note("nobody", "x"), note(two, " "), rename(two, ""), note(one, "y"))
    assert [type(each.error) for each in found] == [type(None), NoSuchRecord, BadName, BadName, type(None)]
    assert store.commits == before + 1
    assert (texts(store, one), texts(store, two)) == (["y"], [])
    in_order(store)


def test_one_that_fails_after_writing_leaves_nothing(recorder: Recorder) -> None:
    store = recorder.store
    (one, two) = sessions(recorder, 2)
    found = together(
        recorder, note(one, "a"), tags(one, "t"), half(one), note(one, "b"), note(two, "c"), half(two), tags(two, "u")
    )
    assert isinstance(found[2].error, StoreError)
    assert isinstance(found[5].error, StoreError)
    assert [each.error for place, each in enumerate(found) if place not in (2, 5)] == [None] * 5
    assert (texts(store, one), texts(store, two)) == (["a", "b"], ["c"])
    assert [row[0] for row in store.rows("SELECT tag FROM tag ORDER BY tag")] == ["t", "u"]
    in_order(store)
    (after,) = recorder.append([EventDraft(session_id=one, event=Notice(message="on"))])
    assert after.entry.seq == 5  # created, note, tags, note, and this


def test_a_question_that_breaks_the_transaction_is_found_out(recorder: Recorder) -> None:
    """A failed statement ends DuckDB's transaction even without a write: earlier writes would be lost."""
    (one,) = sessions(recorder, 1)

    def ask(recorder: Recorder) -> tuple[None, list[Any]]:
        recorder.store.rows("SELECT error('broken') FROM event")
        return None, []

    found = together(recorder, rename(one, "kept"), StoreChange(ask), note(one, "kept, too"))
    assert isinstance(found[1].error, StoreError)
    assert found[0].error is found[2].error is None
    assert metadata.session_row(recorder.store, one).name == "kept"
    assert texts(recorder.store, one) == ["kept, too"]
    in_order(recorder.store)


@contextmanager
def failing(store: Store, monkeypatch: pytest.MonkeyPatch, errors: Sequence[Exception | None], *, kept: bool):
    """Make commits fail with these errors in turn, then succeed. `kept`: failed ones were stored all the same."""
    left, usual = list(errors), store.transaction

    @contextmanager
    def transaction():
        error = left.pop(0) if left else None
        if error is None or kept:
            with usual() as con:
                yield con
            if error is not None:
                raise error
            return
        with usual() as con:
            yield con
            raise error

    monkeypatch.setattr(store, "transaction", transaction)
    yield
    monkeypatch.undo()


def test_a_commit_that_fails_is_tried_for_each(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    store = recorder.store
    (one, two) = sessions(recorder, 2)
    full = StoreError("The disk is full.")
    with failing(store, monkeypatch, [full, None, full], kept=False):
        found = together(recorder, rename(one, "a"), rename(two, "b"), tags(one, "c"))
    assert [each.error for each in found] == [None, full, None]
    assert [metadata.session_row(store, each).name for each in (one, two)] == ["a", "s1"]
    in_order(store)


@pytest.mark.parametrize("kept", [True, False])
def test_an_uncertain_commit_is_looked_up(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """If it was stored, it is not repeated; otherwise it is."""
    store = recorder.store
    (one, two) = sessions(recorder, 2)
    with failing(store, monkeypatch, [StoreUncertain("It broke down.")], kept=kept):
        found = together(recorder, note(one, "a"), rename(two, "b"), note(one, "c"))
    assert [each.error for each in found] == [None] * 3
    assert texts(store, one) == ["a", "c"]
    assert [row[0] for row in store.rows("SELECT name FROM session ORDER BY name")] == ["b", "s0"]
    in_order(store)


def test_who_finds_no_time_waits(recorder: Recorder) -> None:
    (one,) = sessions(recorder, 1)
    found = commit_together(recorder, [rename(one, "a"), tags(one, "b"), tags(one, "c")], within_s=-1)
    assert list(found) == [0]
    assert [row[0] for row in recorder.store.rows("SELECT count(*) FROM tag")] == [0]


def test_notes_written_together_are_those_written_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers, log and tables are the same, whatever the notes are about."""
    monkeypatch.setattr("time.time_ns", lambda: 1_790_000_000_000_000_000)
    results = []
    for way in ("alone", "together"):
        chance = random.Random(1)
        count = iter(range(10_000))
        for module in ("edits.metadata", "edits.examples"):
            monkeypatch.setattr(f"sessions.{module}.new_id", lambda letter, count=count: f"{letter}{next(count):012}")
        store = Store.open(tmp_path / way / "sessions.duckdb")
        recorder = Recorder(store)
        ids = sessions(recorder, 3)
        together(
            recorder, StoreChange(lambda r, ids=ids: metadata.trash_session(r, metadata.TrashSession(session=ids[2])))
        )
        names = [ids[0], ids[1], "s1", ids[2], "nobody", ids[0][:4]]
        changes = [
            note(
                chance.choice(names),
                chance.choice(["fine", "", "two\nlines", "x" * 20_001]),
                head=chance.choice([None, None, None, (0, 1)]),
                note=chance.choice([None, None, None, "no such"]),
            )
            for _ in range(60)
        ]
        parts = [changes] if way == "together" else [[each] for each in changes]
        outcomes = [each for part in parts for each in together(recorder, *part)]
        written = [each.answer[0].text for each in outcomes if each.error is None]
        errors = [None if each.error is None else str(each.error) for each in outcomes]
        assert len(written) > 5
        results.append((sorted(written), errors, store.rows("SELECT text FROM note ORDER BY ALL")))
        in_order(store)
        store.close()
    assert results[0] == results[1]


def test_kinds_are_done_at_the_first_ones_turn(recorder: Recorder) -> None:
    order: list[str] = []

    def do(_: Recorder, requests: Sequence[str]) -> list[ChangeResult | None]:
        order.append("+".join(requests))
        return [ChangeResult(each) if each != "odd" else None for each in requests]

    def say(word: str) -> Callable[[Recorder], tuple[str, list[Any]]]:
        def work(_: Recorder) -> tuple[str, list[Any]]:
            order.append(word)
            return word, []

        return work

    kind = BatchKind(do, 2)
    words = ["x", "a", "y", "b", "odd", "c"]
    changes = [StoreChange(say(word), None if word in "xy" else kind, word) for word in words]
    assert [each.answer for each in together(recorder, *changes)] == words
    assert order == ["x", "a+b", "y", "odd+c", "odd"]


@pytest.mark.parametrize("among_others", [True, False])
def test_a_change_of_several_appends_is_kept_whole_or_not_at_all(recorder: Recorder, among_others: bool) -> None:
    (one,) = sessions(recorder, 1)

    def work(recorder: Recorder) -> tuple[None, list[Any]]:
        recorder.append([EventDraft(session_id=one, event=SessionRenamed(name="half"))])
        raise BadName("no")

    others = [tags(one, "a"), tags(one, "b")] if among_others else []
    found = together(recorder, *others[:1], StoreChange(work), *others[1:])
    assert [type(each.error) for each in found if each.error is not None] == [BadName]
    row = metadata.session_row(recorder.store, one)
    assert (row.name, row.tags) == ("s0", ("a", "b") if among_others else ())
    in_order(recorder.store)
