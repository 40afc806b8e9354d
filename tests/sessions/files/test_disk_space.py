"""Test a disk that fills up while the host runs."""

import asyncio
import errno
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path

import pytest

from sessions.errors import Refusal, StoreFull
from sessions.events import LogEntry
from sessions.files.disk_space import RESERVE_BYTES, SpaceReserve, describe_os_error, mount_of
from sessions.protocol import CancelRun, Done


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes another process's limits")
async def test_a_disk_that_fills_up_fails_the_run(lab) -> None:
    client = await lab.connect()
    limit_files(client.welcome.pid, 7 << 20)
    run = await lab.queue(client, "large:200")
    try:
        entries, end = await lab.finish(client, run)
    except Refusal:  # the disk is too full to record even the failure, which works again with a little space
        limit_files(client.welcome.pid, 8 << 20)
        entries, end = await lab.finish(client, run)
    assert end.state == "failed"
    assert "disk that holds" in end.failure.message
    assert 8 < len(entries) < 200
    limit_files(client.welcome.pid, 12 << 20)
    _, end = await lab.finish(client, await lab.queue(client))  # with space again, a small run is recorded
    assert end.state == "done"


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes another process's limits")
async def test_on_a_full_disk_the_host_reads_on_and_catches_up(lab, script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_RETRY_S", "0.05")
    client = await lab.connect()
    run = await lab.queue(client, "wait")
    last = script.steps(run.config, 5)[1]
    received: list[LogEntry] = []
    with pytest.raises(Refusal, match="disk that holds") as found:  # noqa: PT012
        async with asyncio.timeout(600), aclosing(client.follow(run.session_id)) as batches:
            async for batch in batches:
                received += batch
                if received[-1].event == last:  # the run is waiting; a pending message would fail it
                    limit_files(client.welcome.pid, 4096)
                    await client.ask(CancelRun(run=run.run_id), Done)
    assert found.value.family == "store"
    detail = await lab.detail(client, run.session_id)
    assert (detail.runs[0].state, detail.last_seq) == ("running", received[-1].seq)
    with pytest.raises(Refusal, match="disk that holds"):
        await lab.session(client)
    limit_files(client.welcome.pid, resource.RLIM_INFINITY)
    entries, end = await lab.finish(client, run)
    assert entries[: len(received)] == received
    assert end.state == "stopped", end.failure
    assert (await lab.session(client)).n_runs == 0


def limit_files(pid: int, n_bytes: int) -> None:
    """Limit the size of every file of that process, as a full disk would."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))


def mounts() -> bool:
    """Return whether a private file system can be mounted here."""
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return unshare is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not mounts(), reason="no file system can be mounted here")
def test_without_a_byte_free_it_reads_exports_and_frees_room(tmp_path: Path) -> None:
    """No host runs at the beginning, so no file of one exists."""
    folder, report = Path(tempfile.mkdtemp(prefix="hc-")), tmp_path / "report.json"
    script = Path(__file__).parents[1] / "on_a_full_disk.py"
    try:
        done = subprocess.run(
            ["unshare", "-rm", sys.executable, "-P", str(script), str(folder), str(report)],
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seen = json.loads(report.read_text())
    assert seen["free"] == 0
    assert seen["listed"] == ["kept", "older"]
    assert seen["exported"] > 500
    assert seen["left beside it"] == []
    for what in ("write", "import"):
        assert "disk that holds" in seen[what]["message"]
        assert f"{folder}/disk: 0 B of 101 MB are free" in seen[what]["message"]
        assert "headcode gc" in seen[what]["hint"]
        assert "headcode sessions empty" in seen[what]["hint"]
    assert seen["emptied"] == ["old", "older"]
    assert seen["left"] == seen["after"] == ["kept"]
    assert seen["writes again"] == "new"


def test_the_reserve_is_kept_while_there_is_plenty_and_given_up_once(tmp_path: Path) -> None:
    reserve = SpaceReserve(tmp_path / "reserve")
    assert not reserve.release()
    reserve.fill()
    about = (tmp_path / "reserve").stat()
    assert about.st_size == RESERVE_BYTES
    assert about.st_blocks * 512 >= RESERVE_BYTES, "a file of holes reserves nothing"
    assert about.st_mode & 0o077 == 0
    reserve.fill()
    assert (tmp_path / "reserve").stat().st_ino == about.st_ino
    assert reserve.release()
    assert not reserve.release()


def test_a_refusal_of_the_system_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    full = describe_os_error(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x")))
    assert isinstance(full, StoreFull)
    assert str(tmp_path / "x") in full.message
    assert str(mount_of(tmp_path)) in full.message
    assert (tmp_path / "x").absolute().is_relative_to(mount_of(tmp_path))
    other = describe_os_error(OSError(errno.EACCES, "Permission denied"), tmp_path)
    assert other.message == f"The system refused: Permission denied ({tmp_path})."
