"""Test stores in every state: intact, damaged, foreign, locked, read-only, too new, on a full disk."""

import os
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from engine.machine.folders import find_folders
from engine.results import EFFECT_FIELDS, NodeScores
from sessions.errors import StoreDamaged, StoreError, StoreTooNew
from sessions.store.connection import connect
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS, SCHEMA_VERSION
from sessions.store.projections import MEASURES

HERE = Path(__file__).parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of an intact, closed store."""
    path = tmp_path / "sessions.duckdb"
    Store.open(path).close()
    return path


def refusal(path: Path, kind: type[StoreError], words: str) -> StoreError:
    with pytest.raises(kind, match=words) as found:
        Store.open(path)
    assert str(path.name) in found.value.message
    assert found.value.hint
    return found.value


def test_a_store_is_made_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "in" / "sessions.duckdb"
    for _ in range(2):
        store = Store.open(path)
        assert store.one("SELECT value FROM meta WHERE key = 'schema'") == (str(SCHEMA_VERSION),)
        store.close()
    assert [file.name for file in path.parent.iterdir()] == ["sessions.duckdb"]


def test_a_start_killed_half_way_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "sessions.duckdb"
    (tmp_path / "sessions.duckdb.new").write_bytes(b"half a")
    (tmp_path / "sessions.duckdb.new.wal").write_bytes(b"store")
    Store.open(path).close()
    assert [file.name for file in tmp_path.iterdir()] == ["sessions.duckdb"]


def test_the_store_keeps_to_one_storage_version(path: Path) -> None:
    with connect(path, read_only=True) as con:
        assert "v2.0.0" in str(con.execute("SELECT tags FROM duckdb_databases()").fetchall())


def test_nothing_outside_can_be_reached_from_the_store(path: Path) -> None:
    store = Store.open(path)
    try:
        for sql in (
            "SELECT * FROM read_text('/etc/passwd')",
            "ATTACH '/tmp/other.duckdb' AS other",
            "COPY event TO '/tmp/stolen.csv'",
            "INSTALL httpfs",
            "SET threads = 8",
        ):
            with pytest.raises(StoreError):
                store.rows(sql)
    finally:
        store.close()


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sessions.duckdb").mkdir()
    refusal(tmp_path / "sessions.duckdb", StoreError, "is a folder")


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sessions.duckdb")
    refusal(tmp_path / "sessions.duckdb", StoreError, "is not a file")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal(tmp_path / "file" / "sessions.duckdb", StoreError, "file is not a folder")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "sessions.duckdb").touch()
    refusal(tmp_path / "sessions.duckdb", StoreDamaged, "is empty")


def test_a_text(path: Path) -> None:
    path.write_text("Dear aunt, " * 5000)
    refusal(path, StoreDamaged, "its first bytes are b'Dear aun'")


def test_an_sqlite_file(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE t (i)")
    con.close()
    refusal(path, StoreDamaged, "is an SQLite database")


@pytest.mark.parametrize("keep", [100, 5_000, 12_288, 100_000])
def test_a_truncated_file(path: Path, keep: int) -> None:
    os.truncate(path, keep)
    refusal(path, StoreDamaged, "is cut short|is damaged")


def test_a_flipped_byte(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[4096 + 20] ^= 0xFF
    raw[8192 + 20] ^= 0xFF
    path.write_bytes(raw)
    refusal(path, StoreDamaged, "is damaged")


def test_a_store_of_a_later_duckdb(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    for block in (4096, 8192):
        struct.pack_into("<Q", raw, block + 56, 99)
    path.write_bytes(raw)
    refusal(path, StoreTooNew, r"storage 99\); this is DuckDB 2\.")


def test_a_store_of_a_later_headcode(path: Path) -> None:
    with connect(path) as con:
        con.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
        con.execute("UPDATE meta SET value = '7.7' WHERE key = 'headcode'")
    before = path.read_bytes()
    refusal(path, StoreTooNew, f"has schema 99, written by Headcode 7.7; .* up to {SCHEMA_VERSION}")
    assert path.read_bytes() == before


def test_a_duckdb_file_of_somebody_else(path: Path) -> None:
    path.unlink()
    with connect(path) as con:
        con.execute("CREATE TABLE salaries (i INTEGER)")
    refusal(path, StoreDamaged, r"not a Headcode store \(tables: salaries\)")


def test_tables_somebody_changed(path: Path) -> None:
    with connect(path) as con:
        con.execute("ALTER TABLE step ADD COLUMN mine INTEGER")
    refusal(path, StoreDamaged, "are not those Headcode")


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("view", "CREATE VIEW progress AS SELECT 1"),
        ("macro", "CREATE MACRO lower(x) AS (SELECT content FROM read_text('/etc/passwd'))"),
        ("trigger", "CREATE TRIGGER spy AFTER INSERT ON event FOR EACH STATEMENT INSERT INTO meta VALUES ('a', 'b')"),
    ],
)
def test_a_store_with_a_strangers_code_in_it(path: Path, kind: str, sql: str) -> None:
    with connect(path) as con:
        con.execute(sql)
    refusal(path, StoreDamaged, f"holds a {kind} that Headcode did not make")


def test_a_view_that_passes_for_ours_is_made_anew(path: Path) -> None:
    with connect(path) as con:
        con.execute("CREATE OR REPLACE VIEW codes AS SELECT 'forged' AS run_id")
    store = Store.open(path)
    assert store.rows("SELECT * FROM codes") == []
    store.close()


def test_a_store_open_in_another_process(path: Path) -> None:
    code = (
        f"import sys; from sessions.store.connection import connect; c = connect({str(path)!r})\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        refusal(path, StoreError, rf"is open in python.* \(PID {other.pid}\)")
        other.communicate()


UNFINISHED = """
import os, sys
from pathlib import Path
from sessions.store.database import Store
store = Store.open(Path(sys.argv[1]))
for number in range(20):
    with store.transaction() as con:
        con.execute("INSERT INTO step VALUES (?, 0, 0, 0, 0, 0)", [f"row-{number}"])
os._exit(0)
"""


def unfinished(path: Path) -> Path:
    """Return the journal of a store whose process died before a checkpoint."""
    subprocess.run([sys.executable, "-c", UNFINISHED, str(path)], check=True)
    wal = path.with_name(path.name + ".wal")
    assert wal.exists()
    return wal


def test_a_journal_is_read_back(path: Path) -> None:
    unfinished(path)
    store = Store.open(path)
    assert store.one("SELECT count(*) FROM step") == (20,)
    store.close()


def test_what_a_killed_host_left_in_the_journal_counts_as_waiting(path: Path) -> None:
    size = unfinished(path).stat().st_size
    store = Store.open(path)
    assert store.commits >= size // 500
    store.checkpoint()
    assert store.commits == 0
    assert not path.with_name(path.name + ".wal").exists()
    store.close()


def test_a_torn_journal_keeps_what_is_whole(path: Path) -> None:
    wal = unfinished(path)
    os.truncate(wal, wal.stat().st_size - 7)
    store = Store.open(path)
    assert store.one("SELECT count(*) FROM step") == (19,)
    store.close()


def test_a_corrupt_journal(path: Path) -> None:
    wal = unfinished(path)
    raw = bytearray(wal.read_bytes())
    raw[raw.index(b"row-15")] ^= 0xFF
    wal.write_bytes(raw)
    error = refusal(path, StoreDamaged, "journal .*wal is damaged")
    assert "headcode doctor --repair" in error.hint


def test_a_journal_without_its_store(path: Path) -> None:
    unfinished(path)
    path.rename(path.with_name("elsewhere.duckdb"))
    with pytest.raises(StoreDamaged, match=r"its store sessions\.duckdb does not"):
        Store.open(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_read_only_store(path: Path) -> None:
    path.chmod(0o444)
    for folder in (path.parent, *path.parent.parents):
        if folder.stat().st_mode & 0o005 != 0o005 and folder.stat().st_uid == 0 and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o055)
    code = (
        "import os, sys; from pathlib import Path; from sessions.store.database import Store, StoreError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: Store.open(Path(sys.argv[1]))\n"
        "except StoreError as error: os.write(int(sys.argv[2]), error.message.encode())\n"
    )
    reading, writing = os.pipe()  # a separate pipe: a library may write on stdout
    with os.fdopen(reading, "rb") as text:
        command = [sys.executable, "-c", code, str(path), str(writing)]
        subprocess.run(command, check=True, pass_fds=(writing,))
        os.close(writing)
        assert text.read().decode() == f"{path} is read-only, and a session must be recorded."


def test_a_failed_transaction_keeps_nothing(path: Path) -> None:
    store = Store.open(path)
    with pytest.raises(StoreError), store.transaction() as con:  # noqa: PT012
        con.execute("INSERT INTO step VALUES ('a', 0, 0, 0, 0, 0)")
        con.execute("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StoreError, match="aborted"), store.transaction() as con:  # noqa: PT012
        con.execute("INSERT INTO step VALUES ('b', 0, 0, 0, 0, 0)")
        with pytest.raises(duckdb.Error):  # on purpose: COMMIT would report success and store nothing
            con.execute("INSERT INTO nowhere VALUES (1)")
    assert store.one("SELECT count(*) FROM step") == (0,)
    with store.transaction() as con:
        con.execute("INSERT INTO step VALUES ('c', 0, 0, 0, 0, 0)")
    assert store.rows("SELECT run_id FROM step") == [("c",)]
    store.close()


def test_an_older_store_is_copied_aside_and_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sessions.store import database as store_module
    from sessions.store import migrations

    more = (*migrations.MIGRATIONS, migrations.Migration("a table more", ("CREATE TABLE extra (i INTEGER)",)))
    monkeypatch.setattr(store_module, "MIGRATIONS", more)
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", len(more))
    store = Store.open(path)
    assert store.one("SELECT value FROM meta WHERE key = 'schema'") == (str(len(more)),)
    assert store.rows("SELECT * FROM extra") == []
    store.close()
    aside = path.with_name(f"sessions.schema-{SCHEMA_VERSION}.duckdb")
    monkeypatch.undo()
    old = Store.open(aside)
    assert old.one("SELECT value FROM meta WHERE key = 'schema'") == (str(SCHEMA_VERSION),)
    old.close()
    refusal(path, StoreTooNew, "has schema")


def test_a_migration_that_fails_leaves_the_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sessions.store import database as store_module
    from sessions.store import migrations

    broken = migrations.Migration("half", ("CREATE TABLE extra (i INTEGER)", "CREATE TABLE extra (i INTEGER)"))
    monkeypatch.setattr(store_module, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
    monkeypatch.setattr(store_module, "SCHEMA_VERSION", len(migrations.MIGRATIONS) + 1)
    with pytest.raises(StoreError):
        Store.open(path)
    monkeypatch.undo()
    Store.open(path).close()


def test_the_tables_have_a_column_for_every_measure(path: Path) -> None:
    store = Store.open(path)
    columns = [row[0] for row in store.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = 'node_score'")]
    assert tuple(columns) == ("run_id", "final", "layer", "head", *MEASURES, "other")
    # Effects are not scores: their methods write into `cause`.
    assert set(MEASURES) == set(NodeScores.__struct_fields__) - {"layer", "head", "other", *EFFECT_FIELDS}
    tables = {row[0] for row in store.rows("SELECT table_name FROM duckdb_tables() WHERE NOT internal")}
    assert tables == {*PROJECTIONS, "event", "code", "atlas", "atlas_node", "meta"}
    store.close()


@pytest.mark.parametrize("character", [*" !#$%&'()*+,-.:;<=>@[]^_`{|}~\"\n\t\x7f", "é", "日", "\U0001f600", "\u202e"])
def test_a_store_may_lie_in_a_folder_of_any_name_that_is_not_refused(character: str, tmp_path: Path) -> None:
    places = find_folders({"HEADCODE_HOME": str(tmp_path / f"a{character}b")})
    Store.open(places.store).close()
    assert [path.name for path in places.store.parent.iterdir()] == ["sessions.duckdb"]


@pytest.mark.parametrize("name", ["sessions.duckdb", "sessions.duckdb.wal"])
def test_a_pipe_in_the_place_of_a_store_holds_nobody(name: str, path: Path) -> None:
    path.with_name(name).unlink(missing_ok=True)
    os.mkfifo(path.with_name(name))
    refusal(path, StoreError, "is not a file")
