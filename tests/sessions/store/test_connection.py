"""Test that connections to DuckDB never draw a progress bar."""

import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from sessions.store.connection import connect
from sessions.store.database import SAFE

ROOT = Path(__file__).parents[3]
ASKED = "SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'"
EVERYBODY = """
import json, sys
from pathlib import Path
import duckdb
from sessions.bundle.parquet import ScratchDatabase
from sessions.store.connection import connect
from sessions.recovery.salvage import open_as_it_is
from sessions.store.database import SAFE, Store

folder = Path(sys.argv[1])
found = {"plain": duckdb.connect()}
store = Store.open(folder / "sessions.duckdb")
found |= {"store": store.connection(), "cursor": store.cursor(), "cursor's": store.cursor().cursor()}
found["a second one"] = connect(folder / "sessions.duckdb", store._config)
found["scratch"] = ScratchDatabase(folder, writes=True)._con
found["stranger's scratch"] = ScratchDatabase(folder, writes=False)._con
blank = Store.blank(folder / "blank.duckdb", 1)
found["blank"] = blank.connection()
settings = {name: con.execute(sys.argv[2]).fetchall()[0][0] for name, con in found.items()}
blank.close()
source = open_as_it_is(folder / "blank.duckdb")
settings["salvage"] = source.con.execute(sys.argv[2]).fetchall()[0][0]
(folder / "found.json").write_text(json.dumps(settings))
"""


def test_every_connection_has_the_bar_off_in_code_run_by_c(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", EVERYBODY, str(tmp_path), ASKED], check=True, stdout=subprocess.DEVNULL)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found.pop("plain") == "true", (
        "DuckDB draws none by itself any more: sessions/store/connection.py may be simpler"
    )
    assert set(found.values()) == {"false"}, found


@pytest.mark.parametrize(
    ("opened", "draws"),
    [
        ("duckdb.connect()", True),
        ("connect(':memory:', {})", False),
        ("connect(':memory:', SAFE)", False),
        ("connect(':memory:', SAFE).cursor()", False),
    ],
)
def test_a_long_statement_leaves_stdout_clean(opened: str, draws: bool) -> None:
    code = (
        "import duckdb; from sessions.store.connection import connect; from sessions.store.database import SAFE\n"
        f"{opened}.execute('SELECT sleep_ms(2500)').fetchall()"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert (b"%" in done.stdout) is draws
    assert draws or done.stdout == b""


def test_a_connection_has_its_configuration_and_is_locked(tmp_path: Path) -> None:
    con = connect(tmp_path / "a.duckdb", SAFE)
    output = dict(con.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert {name: output[name] for name in SAFE if name not in ("max_temp_directory_size",)} == {
        name: value for name, value in SAFE.items() if name not in ("max_temp_directory_size",)
    }
    for line in ("SET threads = 1", "SET lock_configuration = false", "SET enable_external_access = true"):
        with pytest.raises(duckdb.InvalidInputException):
            con.execute(line)
    con.close()
    with pytest.raises(duckdb.Error):
        connect(tmp_path, SAFE)


def test_nobody_opens_one_otherwise() -> None:
    other = re.compile(r"duckdb\s*\.\s*connect\(|from duckdb import.*connect")
    files = [
        path for folder in ("engine", "sessions", "tui", "tests", "docs") for path in (ROOT / folder).rglob("*.py")
    ]
    found = {str(path.relative_to(ROOT)) for path in files if other.search(path.read_text(encoding="utf-8"))}
    assert found == {"sessions/store/connection.py", "tests/sessions/store/test_connection.py"}
