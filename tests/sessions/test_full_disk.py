"""A disk that fills up under the host."""

import asyncio
import resource
from contextlib import aclosing

import pytest

from sessions.errors import Refusal
from sessions.log import LogEntry
from sessions.wire import CancelRun, Done


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes another process's limits")
async def test_a_disk_that_fills_up_fails_the_run(lab) -> None:
    client = await lab.connect()
    limit_files(client.welcome.pid, 7 << 20)
    run = await lab.queue(client, "large:200")
    try:
        entries, end = await lab.finish(client, run)
    except Refusal:  # so full that not even that the run failed could be written: with a little room it is
        limit_files(client.welcome.pid, 8 << 20)
        entries, end = await lab.finish(client, run)
    assert end.state == "failed"
    assert "disk that holds" in end.failure.message
    assert 8 < len(entries) < 200
    limit_files(client.welcome.pid, 12 << 20)
    _, end = await lab.finish(client, await lab.queue(client))  # with room for it a small one is recorded
    assert end.state == "done"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes another process's limits")
async def test_on_a_full_disk_the_host_reads_on_and_catches_up(lab, script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_RETRY_S", "0.05")
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    last = script.steps(run.config, 5)[1]
    heard: list[LogEntry] = []
    with pytest.raises(Refusal, match="disk that holds") as found:  # noqa: PT012
        async with asyncio.timeout(600), aclosing(client.follow(run.session_id)) as batches:
            async for batch in batches:
                heard += batch
                if heard[-1].event == last:  # the run now waits; a word that is still to be written would fail it
                    limit_files(client.welcome.pid, 4096)
                    await client.ask(CancelRun(run=run.run_id), Done)
    assert found.value.family == "store"
    detail = await lab.detail(client, run.session_id)
    assert (detail.runs[0].state, detail.last_seq) == ("running", heard[-1].seq)
    with pytest.raises(Refusal, match="disk that holds"):
        await lab.session(client)
    limit_files(client.welcome.pid, resource.RLIM_INFINITY)
    entries, end = await lab.finish(client, run)
    assert entries[: len(heard)] == heard
    assert end.state == "stopped", end.failure
    assert (await lab.session(client)).n_runs == 0


def limit_files(pid: int, n_bytes: int) -> None:
    """To every file of that process, this is where the disk ends."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
