"""Test the host process: found, started, lost, refused, left idle."""

# ruff: noqa: ASYNC220  (processes that are killed on purpose are simplest started the plain way)

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from sessions.client.connection import HostClient, stop_host
from sessions.errors import (
    HostError,
    HostGone,
    HostRunning,
    NoHost,
    StoreDamaged,
    StoreError,
)
from sessions.events import RunEnded
from sessions.protocol import (
    Done,
    GetStatus,
    StopHost,
)
from sessions.transport.host_address import find_holder
from sessions.transport.socket_folder import make_private


async def test_the_first_command_starts_a_host_and_the_next_finds_it(lab) -> None:
    one = await lab.connect()
    other = await lab.connect(start=False)
    assert one.welcome.pid == other.welcome.pid == find_holder(lab.places)
    assert one.welcome.pid != os.getpid()
    status = await lab.status(one)
    assert (status.pid, status.clients, status.worker_state) == (one.welcome.pid, 2, "none")
    assert status.store_bytes > 0
    assert (lab.places.runtime.stat().st_mode & 0o777, lab.places.socket.stat().st_mode & 0o777) == (0o700, 0o600)


async def test_several_commands_at_once_start_one_host(lab) -> None:
    clients = await asyncio.gather(*(lab.connect() for _ in range(5)))
    assert len({client.welcome.pid for client in clients}) == 1


async def test_without_leave_to_start_one_no_host_is_an_error(lab) -> None:
    with pytest.raises(NoHost):
        await lab.connect(start=False)


async def test_a_host_lives_in_a_session_of_its_own(lab) -> None:
    client = await lab.connect()
    assert os.getsid(client.welcome.pid) != os.getsid(0)
    os.kill(client.welcome.pid, signal.SIGHUP)
    assert (await lab.status(client)).pid == client.welcome.pid


@pytest.mark.parametrize("how", ["asked", signal.SIGTERM, signal.SIGINT])
async def test_a_host_ends_cleanly_and_runs_are_interrupted(lab, alive, until, how: str | int) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "hang")
    waiting = await lab.again(client, run.session_id)
    await lab.entries(client, run.session_id, lambda have: len(have) > 8)
    worker = (await lab.status(client)).worker_pid
    if how == "asked":
        await client.ask(StopHost(), Done)
    else:
        os.kill(client.welcome.pid, how)
    await until(lambda: not alive(client.welcome.pid) and not alive(worker))
    assert not lab.places.socket.exists()
    assert [path.name for path in lab.places.data.glob("*.wal")] == []
    with pytest.raises(HostGone):
        await client.ask(GetStatus(), Done)
    client = await lab.connect()
    for each in (run, waiting):
        _, end = await lab.finish(client, each)
        assert end.state == "interrupted"
        assert "stopped" in end.failure.message


async def test_a_killed_host_loses_nothing_it_told(lab, alive, until) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "hang")
    waiting = await lab.again(client, run.session_id)
    output = await lab.entries(client, run.session_id, lambda have: len(have) > 12)
    worker = (await lab.status(client)).worker_pid
    os.kill(client.welcome.pid, signal.SIGKILL)
    await until(lambda: not alive(worker))
    client = await lab.connect()
    entries, end = await lab.finish(client, waiting)
    assert entries[: len(output)] == output
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert end.state == "interrupted"
    detail = await lab.detail(client, run.session_id)
    assert [row.state for row in detail.runs] == ["interrupted", "interrupted"]
    assert detail.runs[0].failure.hint
    _, end = await lab.finish(client, await lab.again(client, run.session_id, model="toy"))
    assert end.state == "done"


async def test_a_host_nobody_needs_leaves(lab, monkeypatch: pytest.MonkeyPatch, until, alive) -> None:
    monkeypatch.setenv("HEADCODE_HOST_IDLE_S", "0.05")
    client = await lab.connect()
    assert (await lab.status(client)).idle_exit_s is None
    pid = client.welcome.pid
    run = await lab.queue(client)
    await client.close()
    await until(lambda: not alive(pid))
    client = await lab.connect()
    _, end = await lab.finish(client, run)
    assert end.state == "done"  # it waited for the run


async def test_the_socket_of_a_dead_host_is_replaced(lab) -> None:
    make_private(lab.places.runtime)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(lab.places.socket))
    assert (await lab.status(await lab.connect())).clients == 1


async def test_a_host_that_cannot_begin_says_why(lab) -> None:
    lab.places.store.parent.mkdir(parents=True)
    lab.places.store.write_text("this is a letter to my aunt")
    with pytest.raises(StoreDamaged, match="not a Headcode store") as found:
        await lab.connect()
    assert found.value.hint


async def test_a_setting_that_makes_no_sense_is_told_and_keeps_nobody_out(lab) -> None:
    lab.places.settings.parent.mkdir(parents=True)
    lab.places.settings.write_text("[host]\ntrash_days = 3\nidle_minutes = 'soon'\nshop = 1\n")
    notice = (await lab.connect()).welcome.notice
    assert "config.toml, line 3: idle_minutes='soon' is not a number of minutes. For example 30" in notice
    assert "line 4: [host] has no setting 'shop'" in notice


async def test_a_host_that_dies_at_once_is_no_timeout(lab) -> None:
    with pytest.raises(HostError, match="ended during its start") as found:
        await HostClient.connect(lab.places, command=[sys.executable, "-c", "raise SystemExit(7)"])
    assert str(lab.places.logs) in found.value.hint


async def test_a_store_open_elsewhere_names_the_process(lab) -> None:
    lab.places.store.parent.mkdir(parents=True)
    path = str(lab.places.store)
    code = (
        f"import sys; from sessions.store.connection import connect; c = connect({path!r})\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match=rf"is open in python.* \(PID {other.pid}\)"):
            await lab.connect()
        other.stdin.close()


async def test_a_folder_others_can_enter_is_refused(lab) -> None:
    lab.places.runtime.mkdir(parents=True)
    lab.places.runtime.chmod(0o755)
    with pytest.raises(HostError, match="can be entered by others") as found:
        await lab.connect()
    assert found.value.hint == f"chmod 700 {lab.places.runtime}"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
async def test_a_folder_of_somebody_else_is_refused(lab) -> None:
    lab.places.runtime.mkdir(parents=True, mode=0o700)
    os.chown(lab.places.runtime, 65534, 65534)
    with pytest.raises(HostError, match="belongs to user 65534"):
        await lab.connect()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_refused_even_with_the_folder_open(lab) -> None:
    client = await lab.connect()
    for folder in (lab.places.runtime, lab.places.runtime.parent):
        folder.chmod(0o755)
    lab.places.socket.chmod(0o666)
    code = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        "s.connect(sys.argv[1]); s.settimeout(600)\n"
        "try: answer = s.recv(100)\nexcept ConnectionResetError: answer = b''\n"
        "sys.exit(0 if answer == b'' else 1)"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-I", "-c", code, str(lab.places.socket)], check=False, timeout=600
    )
    assert done.returncode == 0
    assert (await lab.status(client)).clients == 1


async def test_a_foreground_host_ends_with_its_command(lab, alive, until) -> None:
    code = (
        "import asyncio, sys\n"
        "from engine.machine.folders import find_folders\n"
        "from sessions.client.connection import HostClient\n"
        "from sessions.protocol import *\n"
        "async def main():\n"
        "    client = await HostClient.foreground(find_folders(), command=sys.argv[1:])\n"
        "    session = (await client.ask(CreateSession(model='hang', task='ioi'), SessionAnswer)).session\n"
        "    await client.ask(QueueRun(session=session.session_id), RunAnswer)\n"
        "    async for batch in client.follow(session.session_id):\n"
        "        if batch[-1].seq > 8:\n"
        "            worker = (await client.ask(GetStatus(), StatusAnswer)).status.worker_pid\n"
        "            print(client.welcome.pid, worker, flush=True)\n"
        "asyncio.run(main())\n"
    )
    home = str(lab.places.data.parent)
    environ = os.environ | {"HEADCODE_HOME": home}
    with subprocess.Popen(
        [sys.executable, "-c", code, *lab.command], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        host, worker = map(int, (await asyncio.to_thread(command.stdout.readline)).split())
        assert alive(host)
        command.kill()
        command.communicate()
    await until(lambda: not alive(host) and not alive(worker))
    client = await lab.connect()
    (row,) = (await lab.detail(client, "latest")).runs
    assert row.state == "interrupted"


async def test_a_foreground_host_does_its_work_and_is_gone(lab, alive) -> None:
    client = await lab.foreground()
    pid = client.welcome.pid
    _, end = await lab.finish(client, await lab.queue(client))
    assert end == RunEnded(state="done")
    await client.close()
    assert not alive(pid)
    assert find_holder(lab.places) is None


async def test_two_hosts_never_serve_one_store(lab) -> None:
    client = await lab.connect()
    with pytest.raises(HostRunning, match=rf"PID {client.welcome.pid}") as found:
        await lab.foreground()
    assert "headcode host stop" in found.value.hint
    assert (await lab.status(client)).clients == 1


async def test_a_host_that_hangs_can_be_stopped(lab, alive, until) -> None:
    client = await lab.connect()
    pid = client.welcome.pid
    os.kill(pid, signal.SIGSTOP)
    assert await stop_host(lab.places, timeout_s=0.5) == pid
    await until(lambda: not alive(pid))
    assert await stop_host(lab.places) is None


def test_the_peer_check_reads_what_the_kernel_says() -> None:
    from sessions.transport.socket_folder import peer_process

    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_process(one) == (os.getuid(), os.getpid())
