"""Test grades of examples being written: concurrent with runs, replaced by newer requests, not recorded."""

import asyncio

import pytest

from engine.examples import Example
from sessions.errors import HostGone, Refusal
from sessions.protocol import (
    CancelRun,
    Done,
    ExampleSet,
    GetExamples,
    GradeExamples,
    Grades,
    MakeTaskExamples,
    SessionAnswer,
    SetExamples,
    TaskExamplesMade,
)


def some(*prompts: str) -> tuple[Example, ...]:
    return tuple(Example(prompt=prompt, polarity="positive", pair=1) for prompt in prompts)


async def test_examples_are_graded_and_nothing_is_recorded(lab) -> None:
    client = await lab.connect()
    session = (await lab.session(client)).session_id
    before = (await lab.detail(client, session)).last_seq
    answer = await client.ask(GradeExamples(session=session, examples=some("a b c", "d")), Grades)
    assert [(grade.index, grade.n_tokens, grade.verdict) for grade in answer.grades] == [(0, 3, "ok"), (1, 1, "ok")]
    assert answer.tokens[0].texts == ("a", "b", "c")
    assert answer.model.name == "scripted"
    assert (await lab.detail(client, session)).last_seq == before


async def test_another_model_than_the_sessions_can_be_asked(lab) -> None:
    client = await lab.connect()
    row = await lab.session(client)
    for model, asked in (("", row.model), ("another", "another")):
        request = GradeExamples(session=row.session_id, examples=some("a"), model=model)
        grades = (await client.ask(request, Grades)).grades
        assert grades[0].reason == f"as {asked} sees it"


async def test_grades_come_during_a_run_and_nobody_waits_for_them(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    entries = await lab.entries(client, run.session_id, lambda have: len(have) > 6)
    assert entries
    never = asyncio.ensure_future(client.ask(GradeExamples(session=run.session_id, examples=some("wait")), Grades))
    answer = await client.ask(GradeExamples(session=run.session_id, examples=some("a")), Grades)
    assert len(answer.grades) == 1
    await client.ask(CancelRun(run=run.run_id), Done)
    _, end = await lab.finish(client, run)
    assert end.state == "stopped"
    assert not never.done()
    never.cancel()


async def test_a_newer_request_of_the_same_desk_takes_the_place_of_the_one_before(lab) -> None:
    client = await lab.connect()
    session = (await lab.session(client)).session_id

    def ask(prompt: str, desk: str) -> "asyncio.Future[Grades]":
        request = GradeExamples(session=session, examples=some(prompt), desk=desk)
        return asyncio.ensure_future(client.ask(request, Grades))

    other, old = ask("wait", "other"), ask("wait", "mine")
    await lab.status(client)
    new = await ask("a", "mine")
    assert new.grades
    with pytest.raises(Refusal) as found:
        await old
    assert found.value.family == "cancelled"
    assert not other.done()
    other.cancel()


async def test_the_engine_is_told_that_nobody_waits_any_more(lab) -> None:
    """A client that leaves, or asks anew, stops what it asked for: it may take the engine minutes."""
    client, leaving = await lab.connect(), await lab.connect()
    session = (await lab.session(client)).session_id

    async def reason() -> str:
        answer = await client.ask(GradeExamples(session=session, examples=some("a")), Grades)
        return answer.grades[0].reason

    request = GradeExamples(session=session, examples=some("wait"))
    never = asyncio.ensure_future(leaving.ask(request, Grades))
    await lab.status(leaving)
    while "1 waiting" not in await reason():
        pass
    await leaving.close()
    async with asyncio.timeout(20):
        while "waiting" in await reason():
            pass
    with pytest.raises(HostGone):
        await never


async def test_an_engine_that_dies_of_a_prompt_says_so_and_the_next_one_answers(lab) -> None:
    client = await lab.connect()
    session = (await lab.session(client)).session_id
    with pytest.raises(Refusal, match="killed") as found:
        await client.ask(GradeExamples(session=session, examples=some("die")), Grades)
    assert found.value.failure.name == "WorkerDied"
    assert (await client.ask(GradeExamples(session=session, examples=some("a")), Grades)).grades


async def test_too_many_at_once_are_refused(lab) -> None:
    client = await lab.connect()
    session = (await lab.session(client)).session_id
    with pytest.raises(Refusal, match="257 examples"):
        await client.ask(GradeExamples(session=session, examples=some(*"a" * 257)), Grades)


async def test_a_task_gives_examples_and_the_set_can_be_asked_for(lab) -> None:
    client = await lab.connect()
    session = (await lab.session(client, task=None)).session_id
    empty = await client.ask(GetExamples(session=session), ExampleSet)
    assert (empty.version, empty.examples) == (0, ())
    made = await client.ask(MakeTaskExamples(session=session, task="ioi", pairs=3), TaskExamplesMade)
    assert len(made.examples) == 6
    await client.ask(SetExamples(session=session, examples=made.examples), SessionAnswer)
    found = await client.ask(GetExamples(session=session), ExampleSet)
    assert (found.version, found.examples) == (2, made.examples)
    for request, words in (
        (MakeTaskExamples(session=session, task="nothing"), "no task"),
        (MakeTaskExamples(session=session, task="ioi", pairs=-1), "-1 pairs"),
    ):
        with pytest.raises(Refusal, match=words):
            await client.ask(request, TaskExamplesMade)
