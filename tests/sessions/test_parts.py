"""Test small parts: settings, ids, lines, logs."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import Failure
from sessions.errors import Refusal, SettingsError, StoreTooNew, error_from
from sessions.files.host_settings import HostSettings, read_settings
from sessions.files.log_files import SizedLog
from sessions.ids import is_id, new_id
from sessions.services.worker_exit import describe_exit
from sessions.transport.lines import LineReader, LineTooLong


def test_settings_are_read_from_the_host_table(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_settings(path, {}) == HostSettings()
    path.write_text(
        '[screen]\ntheme = "x"\n[host]\nidle_minutes = 0\nworker_idle_minutes = 2.5\nstore_memory = "2 GB"\n'
    )
    found = read_settings(path, {})
    assert (found.idle_s, found.worker_idle_s, found.store_memory) == (0, 150, "2 GB")
    found = read_settings(path, {"HEADCODE_HOST_IDLE_S": "1.5", "HEADCODE_WORKER_IDLE_S": "0"})
    assert (found.idle_s, found.worker_idle_s) == (1.5, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[host", "is not TOML"),
        ("\xff\xfe", "is not TOML"),
        ("host = 3", "host=3 is not a table"),
        ("[host]\nidle_minute = 3", "no setting 'idle_minute'"),
        ("[host]\nidle_minutes = -1", "idle_minutes=-1 is not a number of minutes"),
        ("[host]\nidle_minutes = nan", "idle_minutes=nan"),
        ("[host]\nidle_minutes = true", "idle_minutes=True"),
        ("[host]\nstore_memory = 5", "store_memory=5 is not a size"),
        ("[host]\nstore_memory = '1MB; drop'", "is not a size"),
        ("[host]\nstore_threads = 0", "store_threads=0"),
    ],
)
def test_settings_that_make_no_sense_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError) as found:
        read_settings(path, {})
    assert str(path) in found.value.message
    assert words in found.value.message
    assert found.value.hint


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_an_override_that_is_no_number_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="environment"):
        read_settings(tmp_path / "config.toml", {"HEADCODE_HOST_IDLE_S": value})


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id("s") for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert all(is_id(each) and len(each) == 13 for each in ids)


async def read_all(data: bytes, limit: int, chunk: int) -> list[bytes]:
    stream = asyncio.StreamReader()
    for start in range(0, len(data), chunk):
        stream.feed_data(data[start : start + chunk])
    stream.feed_eof()
    reader, lines = LineReader(stream), []
    while (line := await reader.line(limit)) is not None:
        lines.append(line)
    return lines


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
async def test_only_whole_lines_are_read(chunk: int) -> None:
    assert await read_all(b"one\n\ntwo\nhalf", 10, chunk) == [b"one", b"", b"two"]


@pytest.mark.parametrize("data", [b"x" * 11 + b"\n", b"x" * 11, b"ok\n" + b"x" * 50])
async def test_a_long_line_is_refused(data: bytes) -> None:
    assert await read_all(b"x" * 10 + b"\n", 10, 100) == [b"x" * 10]
    with pytest.raises(LineTooLong):
        await read_all(data, 10, 100)


def test_a_log_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "worker.log"
    log = SizedLog(path)
    for _ in range(40):
        log.write(b"x" * 100_000)
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 2_500_000
    assert path.exists()


@pytest.mark.parametrize("code", [-9, -11, -6, -64, 0, 1, 137])
def test_every_end_of_a_worker_has_words_and_a_way_out(code: int) -> None:
    failure = describe_exit(code)
    assert failure.family == "engine"
    assert failure.message.endswith(".")
    assert failure.hint


def test_an_error_comes_back_as_its_own_class() -> None:
    there = StoreTooNew("too new", hint="upgrade")
    back = error_from(there.as_failure())
    assert (type(back), back.message, back.hint) == (StoreTooNew, "too new", "upgrade")
    foreign = error_from(Failure(family="engine", name="SystemExit", message="m"))
    assert (type(foreign), foreign.family) == (Refusal, "engine")


@pytest.mark.parametrize("module", ["sessions.client.connection", "sessions.host.__main__"])
def test_neither_client_nor_host_needs_the_engines_libraries(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'duckdb', 'numpy', 'textual', 'typer'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the end of its input ends a worker")
async def test_a_tied_process_ends_with_its_parent_whatever_it_does(alive, until) -> None:
    parent = (
        "import os, subprocess, sys, sessions.services.worker_process as s\n"
        "deaf = [sys.executable, '-c', 'while True: pass']\n"
        "tied = [sys.executable, '-I', '-S', str(s._DIE_WITH_PARENT), str(os.getpid()), *deaf]\n"
        "child = subprocess.Popen(tied, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    child = int(await process.stdout.readline())
    score = Path(f"/proc/{child}/oom_score_adj")
    await until(lambda: score.read_text() == "500\n")
    process.kill()
    await process.wait()
    await until(lambda: not alive(child))
    process._transport.close()
