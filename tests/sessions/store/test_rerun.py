"""Test repeating an interrupted run with its inputs, whatever changed in its session since."""

import os
import signal

import pytest

from engine.config import ProbeConfig
from engine.events import ExamplesMade
from engine.examples import Example
from sessions.errors import Refusal
from sessions.events import RunEnded, RunQueued
from sessions.protocol import QueueRun, RunAnswer, SessionAnswer, SetExamples


def some(*words: str) -> tuple[Example, ...]:
    return tuple(
        Example(prompt=f"{word} {polarity}", polarity=polarity)
        for word in words
        for polarity in ("positive", "negative")
    )


def of_run(entries, run, kind):
    return [entry.event for entry in entries if entry.run_id == run.run_id and isinstance(entry.event, kind)]


async def test_it_has_the_examples_and_settings_it_had(lab) -> None:
    client = await lab.connect()
    session = await lab.session(client, "toy", task=None, examples=some("old"))
    config = ProbeConfig(seeds=(8, 9), circuit_size=3)
    asked = QueueRun(session=session.session_id, config=config, device="cpu", dtype="bfloat16", trust_remote_code=True)
    first = (await client.ask(asked, RunAnswer)).run
    await lab.finish(client, first)
    await client.ask(SetExamples(session=session.session_id, examples=some("new", "newer")), SessionAnswer)

    second = (await client.ask(QueueRun(again=first.run_id), RunAnswer)).run
    entries, end = await lab.finish(client, second)
    assert end == RunEnded(state="done")
    assert (second.session_id, second.number, second.config) == (session.session_id, 2, first.config)
    (queued,) = of_run(entries, second, RunQueued)
    (before,) = of_run(entries, first, RunQueued)
    assert queued.again == first.run_id
    assert (queued.device, queued.dtype, queued.trust_remote_code, queued.model) == ("cpu", "bfloat16", True, "toy")
    assert of_run(entries, second, ExamplesMade) == of_run(entries, first, ExamplesMade)
    assert (await lab.detail(client, session.session_id)).session.n_positive == 2
    assert before.again is None


async def test_one_that_never_began_has_the_examples_its_session_had_then(lab) -> None:
    client = await lab.connect()
    hanging = await lab.queue(client, "hang")
    session = await lab.session(client, "toy", task=None, examples=some("old"))
    waiting = await lab.again(client, session.session_id)
    await client.ask(SetExamples(session=session.session_id, examples=some("new", "newer")), SessionAnswer)
    os.kill(client.welcome.pid, signal.SIGKILL)

    client = await lab.connect()
    runs = (await lab.detail(client, session.session_id)).runs
    assert [(run.run_id, run.state) for run in runs] == [(waiting.run_id, "interrupted")]
    failure = runs[0].failure
    assert failure is not None
    assert f"headcode probe --again {waiting.run_id}" in failure.hint
    second = (await client.ask(QueueRun(again=waiting.run_id), RunAnswer)).run
    entries, end = await lab.finish(client, second)
    assert end.state == "done"
    (made,) = of_run(entries, second, ExamplesMade)
    assert made.examples == some("old")
    assert (await lab.detail(client, hanging.session_id)).runs[0].state == "interrupted"


async def test_one_that_made_its_examples_from_a_task_makes_no_others(lab) -> None:
    client = await lab.connect()
    first = await lab.queue(client, "killed")
    _, end = await lab.finish(client, first)
    assert end.state == "failed"
    again = (await client.ask(QueueRun(again=f"{first.session_id}/1"), RunAnswer)).run
    entries, _ = await lab.finish(client, again)
    assert of_run(entries, again, ExamplesMade) == of_run(entries, first, ExamplesMade)
    assert again.task == "ioi"


async def test_a_run_that_is_not_there_cannot_be_done_again(lab) -> None:
    client = await lab.connect()
    with pytest.raises(Refusal, match="no run 'nowhere'"):
        await client.ask(QueueRun(again="nowhere"), RunAnswer)
