"""Test undo and redo of examples: ordinary events, so that they are stored and seen everywhere."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.examples import Example, content_hash
from sessions.client.connection import stop_host
from sessions.edits.examples import create_session, set_examples, step_examples
from sessions.errors import NothingToStep, Refusal, StaleExamples
from sessions.events import ExamplesSet, ExamplesStepped
from sessions.protocol import CreateSession, SessionAnswer, SetExamples, StepExamples
from sessions.store.database import Store
from sessions.store.queries import current_version, newest_examples
from sessions.store.recorder import Recorder, rebuild


def some(*prompts: str) -> tuple[Example, ...]:
    return tuple(Example(prompt=prompt, polarity="positive") for prompt in prompts)


@pytest.fixture
def recorder(tmp_path: Path):
    store = Store.open(tmp_path / "sessions.duckdb")
    yield Recorder(store)
    store.close()


def fresh(recorder: Recorder) -> str:
    row, _ = create_session(recorder, CreateSession(model="toy"))
    return row.session_id


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.one_of(st.integers(0, 5), st.sampled_from(["undo", "redo"])), max_size=12),
    back=st.integers(1, 6),
)
def test_any_number_of_undos_and_as_many_redos_is_nothing(
    recorder: Recorder, moves: list[int | str], back: int
) -> None:
    session = fresh(recorder)
    past: list[tuple[Example, ...]] = [()]
    place = 0
    for move in moves:
        if isinstance(move, int):
            examples = some(*(f"prompt {number}" for number in range(move)))
            set_examples(recorder, SetExamples(session=session, examples=examples))
            if examples != past[place]:
                past = [*past[: place + 1], examples]
                place += 1
        else:
            by = -1 if move == "undo" else 1
            inside = 0 <= place + by < len(past)
            try:
                step_examples(recorder, StepExamples(session=session, by=by))
            except NothingToStep:
                assert not inside
            else:
                assert inside
                place += by
        assert newest_examples(recorder.store, session) == past[place]
    steps = min(back, place)
    for by in (-1, 1):
        for _ in range(steps):
            step_examples(recorder, StepExamples(session=session, by=by))
    assert newest_examples(recorder.store, session) == past[place]
    before = current_version(recorder.store, session)
    rebuild(recorder.store)
    assert current_version(recorder.store, session) == before


def test_the_same_set_again_is_no_change(recorder: Recorder) -> None:
    session = fresh(recorder)
    _, first = set_examples(recorder, SetExamples(session=session, examples=some("a")))
    _, second = set_examples(recorder, SetExamples(session=session, examples=some("a")))
    assert [type(each.entry.event) for each in first] == [ExamplesSet, ExamplesSet]
    assert second == []


def test_a_change_of_what_was_changed_elsewhere_is_refused(recorder: Recorder) -> None:
    session = fresh(recorder)
    set_examples(recorder, SetExamples(session=session, examples=some("a"), over=""))
    set_examples(recorder, SetExamples(session=session, examples=some("a", "b"), over=content_hash(some("a"))))
    with pytest.raises(StaleExamples):
        set_examples(recorder, SetExamples(session=session, examples=some("c"), over=content_hash(some("a"))))
    assert newest_examples(recorder.store, session) == some("a", "b")


async def test_undo_survives_a_restart_and_every_client_sees_it(lab) -> None:
    one = await lab.connect()
    session = (await lab.session(one, task=None)).session_id
    for prompts in (("a",), ("a", "b"), ("a", "b", "c")):
        await one.ask(SetExamples(session=session, examples=some(*prompts)), SessionAnswer)
    await one.ask(StepExamples(session=session, by=-1), SessionAnswer)
    await stop_host(lab.places)

    two, three = await lab.connect(), await lab.connect()
    row = (await two.ask(StepExamples(session=session, by=-1), SessionAnswer)).session
    assert (row.n_positive, row.n_negative) == (1, 0)
    row = (await three.ask(StepExamples(session=session, by=1), SessionAnswer)).session
    assert row.n_positive == 2
    for client in (two, three):
        entries = await lab.entries(
            client, session, lambda have: sum(isinstance(each.event, ExamplesStepped) for each in have) == 3
        )
        stepped = [each.event for each in entries if isinstance(each.event, ExamplesStepped)]
        assert [(event.by, event.version) for event in stepped] == [(-1, 3), (-1, 2), (1, 3)]
        assert stepped[-1].content_hash == content_hash(some("a", "b"))
    await two.ask(StepExamples(session=session, by=1), SessionAnswer)
    with pytest.raises(Refusal, match="nothing to redo") as found:
        await three.ask(StepExamples(session=session, by=1), SessionAnswer)
    assert found.value.failure.name == "NothingToStep"
