"""Test that only plain files are read, and that partial files of a killed process are found again."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.machine.folders import AppFolders, find_folders
from engine.machine.plain_file import NotRegularFile, append_plain, open_plain, read_json, read_plain
from sessions.bundle.parquet import write_parquet
from sessions.edits import garbage
from sessions.errors import CannotWrite, SettingsError
from sessions.files.atomic_write import marked_partials, partial_path, write_atomically
from sessions.files.host_settings import load_settings, read_settings
from sessions.files.log_files import SizedLog, start_logging
from sessions.protocol import TableColumn
from sessions.store.connection import connect


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_neither_read_nor_written(pipe: Path) -> None:
    for use in (open_plain, read_plain, append_plain, lambda path: read_json(path, dict)):
        with pytest.raises(NotRegularFile, match="a pipe or a device"):
            use(pipe)
    with pytest.raises(NotRegularFile):
        read_plain(Path("/dev/zero"))
    with pytest.raises(IsADirectoryError):
        read_plain(pipe.parent)
    with pytest.raises(FileNotFoundError):
        read_plain(pipe.with_name("nothing"))
    link = pipe.with_name("link")
    link.symlink_to(pipe)
    with pytest.raises(NotRegularFile):
        read_plain(link)


def test_a_file_is(tmp_path: Path) -> None:
    with append_plain(tmp_path / "log") as log:
        log.write(b"one\n")
    with append_plain(tmp_path / "log") as log:
        log.write(b"two\n")
    (tmp_path / "link").symlink_to(tmp_path / "log")
    assert read_plain(tmp_path / "link") == b"one\ntwo\n"


async def test_a_host_whose_files_are_pipes_answers(lab) -> None:
    for path in (lab.places.settings, lab.places.keys, lab.places.logs / "worker.log"):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
    client = await lab.connect()
    _, end = await lab.finish(client, await lab.queue(client))
    assert end.state == "done"


def test_settings_in_a_pipe_are_named(pipe: Path) -> None:
    with pytest.raises(SettingsError, match=r"pipe cannot be read: it is a pipe or a device"):
        read_settings(pipe, {})


def test_logs_that_are_pipes_stop_nothing(pipe: Path) -> None:
    import logging

    SizedLog(pipe).write(b"word")
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.raiseExceptions
    places = find_folders({"HEADCODE_HOME": str(pipe.parent)})
    places.logs.mkdir(parents=True)
    os.mkfifo(places.logs / "host.log")
    try:
        start_logging(places)
        assert root.handlers == before[0]
    finally:
        root.handlers[:], logging.raiseExceptions = before[0], before[2]
        root.setLevel(before[1])


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 20_000 + "]" * 20_000, "a = " + "{a = " * 5_000 + "1" + "}" * 5_000, f"a = {'9' * 5_000}"],
    ids=["arrays", "tables", "digits"],
)
def test_toml_that_breaks_its_reader_is_a_problem_of_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    (problem,) = load_settings(tmp_path / "config.toml", {}).problems
    assert "is not TOML" in problem.message


KILLED = """
import os, signal, sys
from pathlib import Path
from sessions.bundle.parquet import write_parquet
from sessions.store.connection import connect
from sessions.files.atomic_write import write_atomically

def write(part):
    part.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

write_atomically(Path(sys.argv[1]), write, force=False, marks=Path(sys.argv[2]))
"""


def killed(goal: Path, places: AppFolders) -> Path:
    done = subprocess.run([sys.executable, "-c", KILLED, str(goal), str(places.parts)], check=False)
    assert done.returncode == -signal.SIGKILL
    (part,) = [path for path in goal.parent.iterdir() if path.name.endswith(".part")]
    return part


def test_what_a_killed_export_left_goes_wherever_it_is(tmp_path: Path) -> None:
    places = find_folders({"HEADCODE_HOME": str(tmp_path / "home")})
    elsewhere = tmp_path / "thesis, 2nd draft"
    elsewhere.mkdir()
    part = killed(elsewhere / "heads.csv", places)
    (pile,) = [found.pile for found in garbage.find_garbage(places, [], garbage.CacheLimits(), running=())]
    assert (pile.kind, pile.n, pile.n_bytes, pile.n_deletable) == ("parts", 1, 4, 0)  # it may be in progress
    os.utime(part, (0, 0))
    found = garbage.find_garbage(places, [], garbage.CacheLimits(), running=())
    assert found[0].deletable == (part,)
    assert garbage.remove(found) == 4
    assert list(elsewhere.iterdir()) == []
    assert garbage.find_garbage(places, [], garbage.CacheLimits(), running=()) == []
    assert list(places.parts.iterdir()) == []


def test_an_export_that_ends_leaves_no_mark(tmp_path: Path) -> None:
    marks, goal = tmp_path / "parts", tmp_path / "goal"
    write_atomically(goal, lambda part: part.touch(), force=False, marks=marks)
    with contextlib.suppress(CannotWrite):
        write_atomically(tmp_path / "other", lambda part: part.parent.unlink(), force=False, marks=marks)
    assert list(marks.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"parts", "goal"}
    (tmp_path / "file").touch()  # without a mark the file is written all the same
    write_atomically(tmp_path / "third", lambda part: part.touch(), force=False, marks=tmp_path / "file" / "marks")
    assert (tmp_path / "third").exists()


def test_a_mark_leads_to_half_files_only(tmp_path: Path) -> None:
    marks, precious = tmp_path / "parts", tmp_path / "precious.txt"
    marks.mkdir()
    precious.write_text("mine")
    part = partial_path(tmp_path / "goal")
    token = part.name.split(".")[-2]
    for name, content in (("a", str(precious)), ("b", "relative"), (token, str(precious)), ("c", f"{precious}\0")):
        (marks / name).write_text(content)
    os.mkfifo(marks / "pipe")
    part.symlink_to(precious)
    (marks / "d").write_text(str(part))
    assert marked_partials(marks) == []
    assert precious.read_text() == "mine"
    away = tmp_path / "unplugged" / f".goal.{token}.part"
    (marks / token).write_text(str(away))
    assert marked_partials(marks) == []
    assert (marks / token).exists()  # its disk may be mounted again


@pytest.mark.parametrize("name", ["a?b.parquet", "a\\b.parquet", "caf\udce9.parquet", "it's.parquet", "a*[b].parquet"])
def test_a_table_goes_to_a_file_of_any_name(name: str, tmp_path: Path) -> None:
    write_parquet((TableColumn(name="layer", kind="whole"),), [(3,)], tmp_path / name, tmp_path / "spool", force=False)
    (tmp_path / name).rename(tmp_path / "plain.parquet")
    con = connect(":memory:")
    assert con.execute(f"SELECT * FROM '{tmp_path}/plain.parquet'").fetchall() == [(3,)]  # noqa: S608
    con.close()
    assert list((tmp_path / "spool").glob("*.parquet")) == []
