"""Every way a store can be unusable, through the real command: a plain message, the way out, the exit code, no harm."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from sessions.store.connection import connect
from sessions.store.database import Store
from sessions.store.migrations import SCHEMA_VERSION

STORES = Path(__file__).parents[2] / "sessions" / "stores"


class Home:
    """An installation of its own with a store that has something in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "data" / "sessions.duckdb"
        self.wal = self.store.with_name("sessions.duckdb.wal")
        self.store.parent.mkdir()
        self.store.write_bytes(gzip.decompress((STORES / "schema-1.duckdb.gz").read_bytes()))
        Store.open(self.store).close()

    def headcode(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HEADCODE_HOME": str(self.root)}
        command = [sys.executable, "-m", "tui.cli", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)

    def files(self) -> dict[str, str]:
        found = {}
        for path in self.store.parent.iterdir():
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        return found


@pytest.fixture
def home() -> Iterator[Home]:
    # A socket's path is short.
    root = Path(tempfile.mkdtemp(prefix="hc-"))
    home = Home(root)
    yield home
    home.headcode("host", "stop")
    for path in (root, root / "data"):
        path.chmod(0o700)
    shutil.rmtree(root)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


def folder(home: Home) -> None:
    home.store.unlink()
    home.store.mkdir()


def sqlite(home: Home) -> None:
    home.store.write_bytes(b"SQLite format 3\0" + b"\0" * 50_000)


def future(home: Home) -> None:
    with connect(home.store) as con:
        con.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
        con.execute("UPDATE meta SET value = '7.0.0' WHERE key = 'headcode'")


def later_duckdb(home: Home) -> None:
    data = bytearray(home.store.read_bytes())
    for at in (4096 + 56, 8192 + 56):
        data[at] = 120
    home.store.write_bytes(data)


def journal(home: Home) -> None:
    """A journal that a killed program left, with a flipped byte in it."""
    code = (
        "import os, sys\nfrom sessions.store.connection import connect\ncon = connect(sys.argv[1])\n"
        "for i in range(50): con.execute(f\"INSERT INTO tag VALUES ('s', 'tag {i}')\")\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(home.store)], check=True, timeout=600)
    flip(home.wal, home.wal.stat().st_size // 2)


def journal_of(content: Callable[[bytes], bytes]) -> Callable[[Home], object]:
    """A journal that a killed program left, with that in its place."""

    def lay(home: Home) -> None:
        journal(home)
        flip(home.wal, home.wal.stat().st_size // 2)  # back as it was
        home.wal.write_bytes(content(home.wal.read_bytes()))

    return lay


def killed_between_renames(home: Home) -> None:
    """What a version that wrote nothing down left: the damaged store and its journal moved, the new one not placed."""
    journal(home)
    assert home.headcode("doctor", "--repair").returncode == 1
    aside = home.store.with_name("sessions.damaged-20261101-101010.duckdb")
    home.store.rename(aside)
    home.wal.rename(aside.with_name(f"{aside.name}.wal"))


def lonely_journal(home: Home) -> None:
    journal(home)
    home.store.rename(home.root / "elsewhere.duckdb")


DAMAGE = [
    pytest.param(folder, ["is a folder"], id="a folder"),
    pytest.param(lambda home: home.store.write_bytes(b""), ["is empty (0 bytes)"], id="0 bytes"),
    pytest.param(lambda home: home.store.write_bytes(b"a text " * 9999), ["its first bytes are b'a text"], id="a text"),
    pytest.param(sqlite, ["SQLite"], id="SQLite"),
    pytest.param(lambda home: flip(home.store, 4096 + 30), ["damaged", "headcode doctor --repair"], id="header"),
    pytest.param(
        lambda home: home.store.write_bytes(home.store.read_bytes()[:9000]),
        ["sessions.duckdb", "hint:"],
        id="cut short",
    ),
    pytest.param(journal, ["journal", ".wal", "headcode doctor --repair"], id="a flipped byte in the journal"),
    pytest.param(
        journal_of(lambda whole: bytes(len(whole))), ["journal", ".wal is damaged", "doctor --repair"], id="zeros"
    ),
    pytest.param(
        journal_of(lambda whole: b"Dear aunt" + whole[9:]), [".wal is damaged", "doctor --repair"], id="a text at first"
    ),
    pytest.param(
        killed_between_renames,
        ["is not there, but sessions.repaired.duckdb and sessions.damaged-", "headcode doctor --repair --in-place"],
        id="killed between renames",
    ),
    pytest.param(lonely_journal, [".wal exists, but its store"], id="a journal without its store"),
    pytest.param(future, ["schema 99", "7.0.0", f"up to {SCHEMA_VERSION}", "Upgrade"], id="a store from the future"),
    pytest.param(later_duckdb, ["storage 120", duckdb.__version__, "Upgrade"], id="a later DuckDB"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE)
def test_it_is_refused_in_words_and_nothing_is_changed(
    home: Home, damage: Callable[[Home], object], words: list[str]
) -> None:
    damage(home)
    before = home.files()
    done = home.headcode("sessions", "list")
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert home.files() == before
    found = home.headcode("doctor", "--no-device-check", "--json")
    (check,) = (each for each in msgspec.json.decode(found.stdout)["checks"] if each["name"] == "store")
    assert check["verdict"] in ("fail", "warn"), check
    assert check["todo"]
    assert home.files() == before


def test_a_damaged_page_is_found_by_the_doctor_and_what_is_whole_is_saved(home: Home) -> None:
    size = home.store.stat().st_size
    whole = home.store.read_bytes()
    for at in range(size // 2, size, 100_000):
        home.store.write_bytes(whole)
        flip(home.store, at)
        looked = home.headcode("doctor", "--no-device-check")
        if looked.returncode:
            break
    assert looked.returncode == 1
    assert "headcode doctor --repair" in looked.stdout
    before = home.files()
    done = home.headcode("doctor", "--repair")
    assert done.returncode in (0, 1), done.stderr
    assert "headcode doctor --repair --in-place" in done.stdout
    files = home.files()
    assert {name: files[name] for name in before} == before
    placed = home.headcode("doctor", "--repair", "--in-place")
    assert placed.returncode == done.returncode
    assert "The damaged store is now" in placed.stdout
    assert home.headcode("doctor", "--no-device-check").returncode == 0
    assert home.headcode("sessions", "list").returncode == 0
    (aside,) = home.store.parent.glob("sessions.damaged-*")
    assert hashlib.sha256(aside.read_bytes()).hexdigest() == before["sessions.duckdb"]


def test_a_running_host_keeps_its_store_to_itself(home: Home) -> None:
    assert home.headcode("sessions", "list").returncode == 0
    done = home.headcode("doctor", "--repair")
    assert done.returncode == 4
    assert "headcode host stop" in done.stderr
    assert home.headcode("doctor", "--no-device-check").returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everything")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_store_is_refused(home: Home, what: str) -> None:
    (home.store if what == "file" else home.store.parent).chmod(0o500)
    done = home.headcode("sessions", "list")
    assert done.returncode == 4
    assert "read-only" in done.stderr
    assert "HEADCODE_HOME" in done.stderr


def test_a_torn_journal_loses_only_its_last_piece(home: Home) -> None:
    journal(home)
    whole = home.wal.read_bytes()
    flip(home.wal, len(whole) // 2)  # back as it was
    home.wal.write_bytes(home.wal.read_bytes()[:-7])
    done = home.headcode("sessions", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert len(msgspec.json.decode(done.stdout)["sessions"]) == 2


def test_what_the_hint_says_after_a_kill_between_renames_works(home: Home) -> None:
    killed_between_renames(home)
    before = set(home.files().values())
    done = home.headcode("doctor", "--repair", "--in-place")
    assert "sessions.repaired.duckdb of an earlier repair" in done.stdout
    assert "Nothing is lost" not in done.stdout
    assert f"{home.store} is now the repaired store." in done.stdout
    assert set(home.files().values()) == before
    listed = home.headcode("sessions", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert len(msgspec.json.decode(listed.stdout)["sessions"]) == 2


@pytest.mark.parametrize(
    "next_command", [("sessions", "list"), ("doctor", "--no-device-check"), ("doctor", "--repair")]
)
def test_an_exchange_that_was_killed_is_finished_by_the_next_command(home: Home, next_command: tuple[str, ...]) -> None:
    killed_between_renames(home)
    (aside,) = home.store.parent.glob("sessions.damaged-*.duckdb")
    record = home.store.with_name("sessions.exchange.json")
    record.write_text(f'{{"repaired": "sessions.repaired.duckdb", "aside": "{aside.name}"}}')
    done = home.headcode(*next_command)
    assert done.returncode == 0, done.stderr + done.stdout
    assert not record.exists()
    assert home.store.exists()
    assert not list(home.store.parent.glob("*repaired*"))
    if next_command[0] == "doctor":
        assert f"the previous one is {aside.name}" in done.stdout
    assert len(msgspec.json.decode(home.headcode("sessions", "list", "--json").stdout)["sessions"]) == 2
