"""Test what can be removed under a running host: the socket's folder, the address, the store, the home."""

import os
import shutil
import signal
import sys

import pytest

from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.errors import HostRunning, Refusal
from sessions.events import RunEnded
from sessions.protocol import ListSessions, NoteAnswer, SessionsAnswer, WriteNote
from sessions.transport.host_address import address_file, find_holder, is_host, read_address, store_lock

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who holds a lock, and where a file went")


async def names(client: HostClient) -> list[str]:
    return sorted(row.name for row in (await client.ask(ListSessions(), SessionsAnswer)).sessions)


async def test_a_host_whose_folder_vanished_is_found_again_with_its_run(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    shutil.rmtree(lab.places.runtime)
    other = await lab.connect()
    assert other.welcome.pid == client.welcome.pid
    assert (await lab.status(other)).running == run.run_id
    assert (await lab.status(other)).socket == str(lab.places.socket)
    assert (await lab.status(client)).clients == 2, "the old connection lives on"


async def test_where_the_folder_cannot_be_made_again_it_is_reached_by_its_address(lab, until) -> None:
    """As after the last logout, when the system's runtime folder is gone until the next login."""
    client = await lab.connect()
    shutil.rmtree(lab.places.runtime)
    lab.places.runtime.write_text("in the way")
    await until(lambda: read_address(lab.places).socket != str(lab.places.socket))
    lab.places.runtime.unlink()
    other = await lab.connect()
    assert other.welcome.pid == client.welcome.pid
    assert await stop_host(lab.places) == client.welcome.pid
    assert not lab.places.socket.exists()


async def test_it_is_stopped_though_nothing_of_its_folder_is_left(lab, alive, until) -> None:
    client = await lab.connect()
    pid = client.welcome.pid
    os.kill(pid, signal.SIGSTOP)  # it cannot open its socket again
    shutil.rmtree(lab.places.runtime)
    assert find_holder(lab.places) == pid
    assert await stop_host(lab.places, timeout_s=0.5) == pid
    await until(lambda: not alive(pid))


@linux
async def test_it_is_found_by_its_locks_when_even_the_address_is_gone(lab, alive, until) -> None:
    client = await lab.connect()
    pid = client.welcome.pid
    os.kill(pid, signal.SIGSTOP)
    shutil.rmtree(lab.places.runtime)
    address_file(lab.places).unlink()
    assert find_holder(lab.places) == pid
    assert await stop_host(lab.places, timeout_s=0.5) == pid
    await until(lambda: not alive(pid))


async def test_a_deleted_address_is_written_anew(lab, until) -> None:
    client = await lab.connect()
    address_file(lab.places).unlink()
    await until(lambda: address_file(lab.places).exists())
    assert read_address(lab.places).pid == client.welcome.pid


async def test_an_address_that_is_nonsense_or_stale_misleads_nobody(lab) -> None:
    lab.places.data.mkdir(parents=True)
    for text in (b"", b"{", b'{"pid": 1, "begun": 5, "socket": "/nowhere", "version": "1"}', b"x" * 20_000):
        address_file(lab.places).write_bytes(text)
        assert find_holder(lab.places) is None
    client = await lab.connect()
    assert read_address(lab.places).pid == client.welcome.pid
    await stop_host(lab.places)
    assert not address_file(lab.places).exists()


async def test_what_only_holds_the_lock_is_no_host_to_be_ended(lab) -> None:
    """A repair holds the lock, too."""
    lab.places.data.mkdir(parents=True)
    lock = store_lock(lab.places)
    assert lock.take()
    try:
        assert find_holder(lab.places) is None
        assert await stop_host(lab.places) is None
    finally:
        lock.release()
    assert not is_host(os.getpid())


async def test_a_second_host_is_refused_though_the_first_ones_folder_vanished(lab) -> None:
    client = await lab.connect()
    shutil.rmtree(lab.places.runtime)
    with pytest.raises(HostRunning, match=rf"PID {client.welcome.pid}"):
        await lab.foreground()


@linux
async def test_a_moved_home_goes_on_where_it_lies_now(lab, alive, until) -> None:
    client = await lab.connect()
    session = await lab.session(client)
    pid, home = client.welcome.pid, lab.places.data.parent
    now = home.with_name(home.name + "-moved")
    home.rename(now)
    lab.places = find_folders({"HEADCODE_HOME": str(now)})
    try:
        other = await lab.connect()
        assert other.welcome.pid != pid
        await until(lambda: not alive(pid))
        assert not home.exists(), "nothing is made where the home was"
        assert await names(other) == [session.name]
        assert find_holder(lab.places) == other.welcome.pid
        await stop_host(lab.places)
    finally:
        now.rename(home)
        lab.places = find_folders({"HEADCODE_HOME": str(home)})


async def test_store_and_socket_gone_at_once_it_still_says_what_became_of_the_store(lab) -> None:
    client = await lab.connect()
    lab.places.store.unlink()
    shutil.rmtree(lab.places.runtime)
    other = await lab.connect()
    assert other.welcome.pid == client.welcome.pid
    assert "was removed" in (await lab.status(other)).trouble
    assert await stop_host(lab.places) == client.welcome.pid


async def test_a_host_that_nobody_can_find_any_more_leaves(lab, alive, until) -> None:
    """Everything was removed, and the lock with the folder: another host may serve a store put there."""
    client = await lab.connect()
    shutil.rmtree(lab.places.data, ignore_errors=True)
    shutil.rmtree(lab.places.runtime)
    await until(lambda: not alive(client.welcome.pid))
    assert len(list(lab.places.data.glob("*.kept-*.duckdb"))) == 1
    assert not lab.places.socket.exists()


@pytest.mark.parametrize("by", ["removed", "replaced"])
async def test_a_note_is_refused_where_the_store_is_gone(lab, by: str) -> None:
    client = await lab.connect()
    session = await lab.session(client)
    await client.ask(WriteNote(session=session.session_id, text="in time"), NoteAnswer)
    store = lab.places.store
    store.unlink()
    if by == "replaced":
        store.write_bytes(b"a stranger's")
    with pytest.raises(Refusal, match=rf"was {by} .* while it was open") as found:
        await client.ask(WriteNote(session=session.session_id, text="too late"), NoteAnswer)
    assert found.value.family == "store"
    assert await names(client) == [session.name], "it is read on"
    trouble = (await lab.status(client)).trouble
    (kept,) = store.parent.glob("sessions.kept-*.duckdb")
    assert kept.name in found.value.failure.message
    assert "headcode host stop" in found.value.failure.hint
    while not trouble:
        trouble = (await lab.status(client)).trouble
    assert str(kept) in trouble
    assert trouble in (await lab.connect()).welcome.notice
    await stop_host(lab.places)
    assert store.exists() == (by == "replaced")
    if by == "replaced":
        assert store.read_bytes() == b"a stranger's"
    kept.rename(store)
    client = await lab.connect()
    assert [note.text for note in (await lab.detail(client, session.session_id)).notes] == ["in time"]


async def test_a_store_that_vanishes_is_noticed_without_a_write(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    shutil.rmtree(lab.places.data, ignore_errors=True)  # the host writes its address again meanwhile
    while "was removed" not in (await lab.status(client)).trouble:
        pass
    (kept,) = lab.places.data.glob("sessions.kept-*.duckdb")
    assert kept.stat().st_mode & 0o077 == 0
    await stop_host(lab.places)
    kept.rename(lab.places.store)
    client = await lab.connect()
    _, end = await lab.finish(client, run)
    assert end == RunEnded(state="interrupted", failure=end.failure)
