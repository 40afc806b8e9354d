"""Test runs on the real host with a scripted worker: recorded, reported, cancelled, failed."""

import asyncio
import os
import re
import signal
from typing import Any

import pytest

from engine.events import ArrayReady, ExamplesMade, Scored, TrainStep
from engine.examples import Example
from engine.nodes import NodeId
from sessions.errors import Refusal
from sessions.events import ArrayStored, ExamplesSet, RunEnded, RunQueued, RunStarted, SessionCreated
from sessions.protocol import (
    CancelRun,
    CodesAnswer,
    CreateSession,
    Done,
    EndWork,
    ExampleSet,
    FollowEngine,
    GetCodes,
    GetExamples,
    GradeExamples,
    Grades,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SetExamples,
    StatusAnswer,
    TaskExamples,
    WarmUp,
)
from sessions.rows import HostStatus


async def test_a_run_is_told_from_its_first_event_to_its_end(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    entries, end = await lab.finish(client, run)
    assert end == RunEnded(state="done")
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    kinds = [type(entry.event) for entry in entries]
    assert kinds[:3] == [SessionCreated, RunQueued, RunStarted]
    assert kinds[-2:] == [ArrayStored, RunEnded]
    assert kinds.count(TrainStep) == 5
    assert [entry.run_id for entry in entries if isinstance(entry.event, SessionCreated | ExamplesSet)] == [None, None]
    times = [entry.at_us for entry in entries]
    assert times == sorted(times)


async def test_two_clients_see_the_same_entries(lab) -> None:
    one, other = await lab.connect(), await lab.connect()
    run = await lab.queue(one, "many:300")
    (seen, _), (also_seen, _) = await asyncio.gather(lab.finish(one, run), lab.finish(other, run))
    assert seen == also_seen
    late, _ = await lab.finish(await lab.connect(), run)
    assert late == seen


async def test_a_client_catches_up_from_where_it_was(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "many:700")
    everything, _ = await lab.finish(client, run)
    rest = await lab.entries(client, run.session_id, lambda have: len(have) == len(everything) - 400, after_seq=400)
    assert rest == everything[400:]


async def test_one_run_of_several_can_be_followed(lab) -> None:
    client = await lab.connect()
    first = await lab.queue(client)
    second = await lab.again(client, first.session_id)
    await lab.finish(client, second)
    entries = await lab.entries(
        client,
        first.session_id,
        lambda have: have[-1].run_id == second.run_id and isinstance(have[-1].event, RunEnded),
        run=second.run_id,
    )
    assert {entry.run_id for entry in entries} == {None, second.run_id}


async def test_runs_are_done_one_after_another_by_one_worker(lab) -> None:
    client = await lab.connect()
    first = await lab.queue(client)
    later = [await lab.again(client, first.session_id) for _ in range(3)]
    entries, _ = await lab.finish(client, later[-1])
    marks = [(type(e.event), e.run_id) for e in entries if isinstance(e.event, RunStarted | RunEnded)]
    runs = [first, *later]
    assert marks == [(kind, run.run_id) for run in runs for kind in (RunStarted, RunEnded)]
    assert [run.number for run in runs] == [1, 2, 3, 4]
    detail = await lab.detail(client, first.session_id)
    assert [row.state for row in detail.runs] == ["done"] * 4
    assert detail.last_seq == entries[-1].seq


async def test_examples_made_from_a_task_become_the_sessions(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    entries, _ = await lab.finish(client, run)
    (made,) = [entry.event for entry in entries if isinstance(entry.event, ExamplesMade)]
    (kept,) = [entry.event for entry in entries if isinstance(entry.event, ExamplesSet)]
    assert kept.examples == made.examples
    again = await lab.again(client, run.session_id)
    entries, _ = await lab.finish(client, again)
    assert sum(isinstance(entry.event, ExamplesSet) for entry in entries) == 1
    session = (await lab.detail(client, run.session_id)).session
    assert (session.n_positive, session.n_negative, session.n_runs) == (2, 2, 2)


async def test_a_run_uses_the_newest_examples(lab) -> None:
    client = await lab.connect()
    session = await lab.session(client)
    mine = (Example(prompt="yes", polarity="positive"), Example(prompt="no", polarity="negative"))
    changed = await client.ask(SetExamples(session=session.name, examples=mine), SessionAnswer)
    assert (changed.session.n_positive, changed.session.n_negative) == (1, 1)
    run = await lab.again(client, session.session_id)
    entries, _ = await lab.finish(client, run)
    (made,) = [entry.event for entry in entries if isinstance(entry.event, ExamplesMade)]
    assert made.examples == mine


async def test_codes_are_asked_by_head(lab, script) -> None:
    client = await lab.connect()
    run = await lab.queue(client, seeds=(7, 3))
    await lab.finish(client, run)
    for seed, index in ((None, 0), (7, 0), (3, 1)):
        codes = (await client.ask(GetCodes(run=run.run_id, layer=1, head=2, seed=seed), CodesAnswer)).codes
        assert codes.seed == (seed or 7)
        assert codes.codes == tuple(script.code(index, example, 5) for example in range(4))
    with pytest.raises(Refusal, match=str(NodeId(2, 0))) as found:
        await client.ask(GetCodes(run=run.run_id, layer=2, head=0), CodesAnswer)
    assert (found.value.failure.name, found.value.family) == ("NoSuchNode", "input")
    with pytest.raises(Refusal, match="no seed 5"):
        await client.ask(GetCodes(run=run.run_id, layer=0, head=0, seed=5), CodesAnswer)


async def test_the_spool_is_emptied_and_the_sae_kept_by_content(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    entries, _ = await lab.finish(client, run)
    (kept,) = [entry.event for entry in entries if isinstance(entry.event, ArrayStored)]
    (file,) = (lab.places.data / "sae").iterdir()
    assert file.name == f"{kept.sha256}.safetensors"
    assert file.stat().st_size == kept.n_bytes
    assert not (lab.places.spool / run.run_id).exists()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("killed", r"killed during the run \(SIGKILL\), most often because memory ran out"),
        ("segfault", r"crashed during the run \(SIGSEGV\)"),
        ("terminated", r"crashed during the run \(SIGTERM\)"),
        ("exit:3", r"exited during the run \(exit code 3\)"),
        ("exit:0", r"exited during the run \(exit code 0\)"),
        ("misspoken", r"does not understand"),
    ],
)
async def test_a_worker_that_dies_fails_its_run_and_the_next_one_works(lab, model: str, words: str) -> None:
    client = await lab.connect()
    run = await lab.queue(client, model)
    next_run = await lab.again(client, run.session_id, model="toy")
    entries, end = await lab.finish(client, run)
    assert end.state == "failed"
    assert end.failure is not None
    assert re.search(words, end.failure.message)
    assert end.failure.hint
    assert any(isinstance(entry.event, TrainStep) for entry in entries if entry.run_id == run.run_id)
    _, end = await lab.finish(client, next_run)
    assert end.state == "done"


async def test_a_run_killed_for_memory_says_what_it_held_what_there_is_and_what_to_lower(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "killed", seeds=(4, 5))
    _, end = await lab.finish(client, run)
    assert end.failure is not None
    assert "memory ran out" in end.failure.message.lower()
    for words in ("seeds (2)", "codes (200)", "prompts", "smaller model than killed"):
        assert words in end.failure.hint


async def test_half_a_runs_scores_stay_and_are_marked(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "killed")
    entries, _ = await lab.finish(client, run)
    assert [entry.event.final for entry in entries if isinstance(entry.event, Scored)] == [False]


async def test_what_a_worker_reports_as_failed_keeps_its_words(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "broken")
    _, end = await lab.finish(client, run)
    assert end.state == "failed"
    assert (end.failure.family, end.failure.name, end.failure.hint) == ("input", "ModelError", "Try toy.")
    row = (await lab.detail(client, run.session_id)).runs[0]
    assert row.failure == end.failure


async def test_what_a_library_prints_is_no_harm(lab) -> None:
    client = await lab.connect()
    _, end = await lab.finish(client, await lab.queue(client, "garbage"))
    assert end.state == "done"


async def test_a_file_outside_the_spool_is_not_read(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "outside")
    entries, end = await lab.finish(client, run)
    assert end.state == "failed"
    assert "'../../stolen'" in end.failure.message
    assert not any(isinstance(entry.event, ArrayReady) for entry in entries)


async def test_a_run_is_stopped(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    await lab.entries(client, run.session_id, lambda have: any(isinstance(e.event, TrainStep) for e in have))
    worker = (await lab.status(client)).worker_pid
    await client.ask(CancelRun(run=run.run_id), Done)
    entries, end = await lab.finish(client, run)
    assert end.state == "stopped"
    assert end.failure.family == "cancelled"
    assert any(isinstance(entry.event, TrainStep) for entry in entries)
    status = await lab.status(client)
    assert (status.worker_pid, status.worker_state) == (worker, "warm")


@pytest.mark.parametrize("how", ["forced", "asked twice"])
async def test_a_run_that_hangs_is_stopped_with_its_worker(lab, how: str) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "hang")
    await lab.entries(client, run.session_id, lambda have: any(isinstance(e.event, TrainStep) for e in have))
    if how == "asked twice":
        await client.ask(CancelRun(run=run.run_id), Done)
    await client.ask(CancelRun(run=run.run_id, force=how == "forced"), Done)
    _, end = await lab.finish(client, run)
    assert (end.state, end.failure.family) == ("stopped", "cancelled")
    _, end = await lab.finish(client, await lab.again(client, run.session_id, model="toy"))
    assert end.state == "done"


async def test_a_run_that_waits_is_stopped_without_having_begun(lab) -> None:
    client = await lab.connect()
    first = await lab.queue(client, "wait")
    second = await lab.again(client, first.session_id, model="toy")
    await client.ask(CancelRun(run=f"{first.session_id}/2"), Done)
    entries, end = await lab.finish(client, second)
    assert end.state == "stopped"
    assert not any(isinstance(e.event, RunStarted) for e in entries if e.run_id == second.run_id)
    await client.ask(CancelRun(run=second.run_id), Done)  # over already: nothing happens
    await client.ask(CancelRun(run=first.run_id), Done)
    await lab.finish(client, first)
    assert (await lab.status(client)).queued == 0


async def test_a_worker_that_died_while_it_waited_costs_no_run(lab) -> None:
    client = await lab.connect()
    _, end = await lab.finish(client, await lab.queue(client))
    status = await lab.status(client)
    os.kill(status.worker_pid, signal.SIGKILL)
    _, end = await lab.finish(client, await lab.queue(client))
    assert end.state == "done"


async def test_the_worker_is_warmed_up_on_request(lab) -> None:
    client = await lab.connect()
    assert (await lab.status(client)).worker_state == "none"
    await client.ask(WarmUp(), Done)
    first = (await lab.status(client)).worker_pid
    assert first is not None
    await client.ask(WarmUp(), Done)
    assert (await lab.status(client)).worker_pid == first


async def test_the_worker_leaves_when_nothing_is_to_do(lab, monkeypatch: pytest.MonkeyPatch, until, alive) -> None:
    monkeypatch.setenv("HEADCODE_WORKER_IDLE_S", "0.05")
    client = await lab.connect()
    run = await lab.queue(client)
    await client.ask(WarmUp(), Done)
    pid = (await lab.status(client)).worker_pid
    await lab.finish(client, run)
    if pid is not None:
        await until(lambda: not alive(pid))
    _, end = await lab.finish(client, await lab.again(client, run.session_id))
    assert end.state == "done"


async def test_a_run_on_examples_of_its_own_leaves_the_sessions_examples_alone(lab) -> None:
    client = await lab.connect()
    empty = (await client.ask(CreateSession(model="toy", name="of tasks"), SessionAnswer)).session
    run = (await client.ask(QueueRun(session=empty.session_id, made=TaskExamples(task="ioi", pairs=2)), RunAnswer)).run
    assert run.task == "ioi"
    entries, end = await lab.finish(client, run)
    assert end == RunEnded(state="done")
    assert any(isinstance(entry.event, ExamplesMade) for entry in entries)
    after = await client.ask(GetExamples(session=empty.session_id), ExampleSet)
    assert (after.version, after.examples) == (0, ())
    with pytest.raises(Refusal, match="no examples yet"):
        await client.ask(QueueRun(session=empty.session_id), RunAnswer)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make jobs count as silent at once, with next to no time to stop."""
    monkeypatch.setenv("TEST_SILENT_S", "0.05")
    monkeypatch.setenv("TEST_GRACE_S", "0.05")


async def seen(client, true) -> HostStatus:
    """Return the first status that satisfies the condition, as a follower receives it."""
    asked = FollowEngine()
    async with asyncio.timeout(600):
        while True:
            status = (await client.ask(asked, StatusAnswer)).status
            if true(status):
                return status
            work = status.at_work
            asked = FollowEngine(
                seen=status.worker_state, job=work.job if work else "", silent=work.silent if work else False
            )


@pytest.mark.usefixtures("impatient")
async def test_a_silent_run_is_told_and_what_waits_for_it_goes_on_once_it_is_ended(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "hang")
    behind = await lab.queue(client)
    status = await seen(client, lambda status: status.at_work is not None and status.at_work.stage == "train")
    silent = await seen(client, lambda status: status.at_work is not None and status.at_work.silent)
    name = (await lab.detail(client, run.session_id)).session.name
    for work in (status.at_work, silent.at_work):
        assert (work.job, work.run_id, work.title) == (run.run_id, run.run_id, f"run {name}/1")
    assert (silent.at_work.stage, silent.at_work.total, silent.at_work.unit) == ("train", 5, "steps")
    assert silent.queued == 1
    await client.ask(CancelRun(run=run.run_id), Done)  # one request is enough for a job that reports nothing
    _, end = await lab.finish(client, run)
    assert (end.state, end.failure.family) == ("stopped", "cancelled")
    _, end = await lab.finish(client, behind)
    assert end.state == "done"
    assert (await lab.status(client)).at_work is None


async def test_a_run_that_does_not_stop_when_asked_is_ended_with_its_worker(lab, monkeypatch: Any) -> None:
    monkeypatch.setenv("TEST_GRACE_S", "0.05")
    client = await lab.connect()
    run = await lab.queue(client, "hang")
    await lab.entries(client, run.session_id, lambda have: any(isinstance(e.event, TrainStep) for e in have))
    await client.ask(CancelRun(run=run.run_id), Done)
    _, end = await lab.finish(client, run)
    assert (end.state, end.failure.family) == ("stopped", "cancelled")


@pytest.mark.usefixtures("impatient")
async def test_whatever_the_engine_is_at_can_be_ended_by_anybody(lab) -> None:
    client = await lab.connect()
    grading = asyncio.ensure_future(
        client.ask(
            GradeExamples(session="", model="toy", examples=(Example(prompt="wait", polarity="positive"),)), Grades
        )
    )
    status = await seen(client, lambda status: status.at_work is not None and status.at_work.silent)
    assert status.at_work.title == "grades of examples (toy)"
    with pytest.raises(Refusal, match=r"The engine runs grades of examples \(toy\) now, not other"):
        await client.ask(EndWork(job="other"), StatusAnswer)
    ended = (await client.ask(EndWork(), StatusAnswer)).status
    assert ended.at_work.job == status.at_work.job
    with pytest.raises(Refusal, match="had reported nothing for a while"):
        await grading
    run = await lab.queue(client, "hang")
    await seen(client, lambda status: status.at_work is not None and status.at_work.job == run.run_id)
    await client.ask(EndWork(job=run.run_id), StatusAnswer)
    _, end = await lab.finish(client, run)
    assert end.state == "stopped"
    with pytest.raises(Refusal, match="The engine has no job"):
        await client.ask(EndWork(), StatusAnswer)
