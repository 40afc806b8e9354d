"""Test stores of earlier versions: migrated to the current schema without loss."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from sessions.services.run_records import interrupt_open_runs
from sessions.store.connection import connect
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS, SCHEMA_VERSION
from sessions.store.queries import open_runs, recent_sessions
from sessions.store.recorder import Recorder, rebuild

STORES = Path(__file__).parents[1] / "stores"
RELEASED = sorted(STORES.glob("schema-*.duckdb.gz"))
Tables = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(params=RELEASED, ids=lambda path: path.name.split(".")[0])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of a store as that version left it."""
    path = tmp_path / "sessions.duckdb"
    path.write_bytes(gzip.decompress(request.param.read_bytes()))
    return path


def everything(con: Any) -> tuple[Tables, dict[str, list[str]]]:
    """Return all rows of all tables but meta, sorted, and the tables' columns."""
    found: Tables = {}
    columns: dict[str, list[str]] = {}
    names = con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal AND table_name <> 'meta'").fetchall()
    for (name,) in names:
        listed = con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE table_name = $name ORDER BY column_index", {"name": name}
        ).fetchall()
        columns[name] = [column for (column,) in listed]
        found[name] = con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()  # noqa: S608
    return found, columns


def test_there_is_a_store_of_every_schema_before_this_one() -> None:
    there = {int(path.name.removeprefix("schema-").split(".")[0]) for path in RELEASED}
    assert there >= set(range(1, SCHEMA_VERSION))


def test_it_keeps_every_row_and_a_copy_of_the_old_file_lies_aside(old: Path) -> None:
    bytes_before = old.read_bytes()
    with connect(old, read_only=True) as con:
        before, columns = everything(con)
        version = con.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall()[0][0]
    assert sum(map(len, before.values())) > 300

    store = Store.open(old)
    after, now = everything(store.connection())
    assert store.rows("SELECT value FROM meta WHERE key = 'schema'") == [(str(SCHEMA_VERSION),)]
    for name, rows in before.items():
        assert set(columns[name]) <= set(now[name])
        # Effects are merged since schema 3, and a run is compared with the references that it has.
        as_before = [column for column in columns[name] if (name, column) != ("run", "reference")]
        places = [columns[name].index(column) for column in as_before]
        output = store.rows(f"SELECT {', '.join(as_before)} FROM {name} ORDER BY ALL")  # noqa: S608
        wanted = [tuple(row[place] for place in places) for row in rows]
        if name == "cause":
            assert set(wanted) <= set(output)
        else:
            assert sorted(output, key=repr) == sorted(wanted, key=repr), name
    assert set(before) <= set(after)
    store.close()
    assert old.with_name(f"sessions.schema-{version}.duckdb").read_bytes() == bytes_before


def test_its_log_gives_the_tables_that_the_upgrade_made(old: Path) -> None:
    store = Store.open(old)
    tables, _ = everything(store.connection())
    assert rebuild(store) == len(tables["event"])
    again, _ = everything(store.connection())
    for name in PROJECTIONS:
        assert again[name] == tables[name], name
    store.close()


def test_it_is_worked_in_as_if_it_had_been_made_today(old: Path) -> None:
    store = Store.open(old)
    assert {row.name for row in recent_sessions(store, limit=10)} == {"fixture", "own examples"}
    left = open_runs(store)
    assert [run.state for run in left] == ["running"]
    assert interrupt_open_runs(Recorder(store)) == 1
    # The last provisional scores of an unfinished run are partial results, and stay.
    states = store.rows("SELECT DISTINCT final FROM node_score WHERE run_id = $run", {"run": left[0].run_id})
    assert states == [(False,)]
    store.close()
    again = Store.open(old)
    assert open_runs(again) == []
    again.close()


def test_what_an_earlier_version_lost_or_held_against_the_wrong_truth_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "sessions.duckdb"
    path.write_bytes(gzip.decompress((STORES / "schema-3.duckdb.gz").read_bytes()))
    with connect(path, read_only=True) as con:
        assert con.execute("SELECT count(*) FROM cause").fetchall() == [(1,)]  # the last measurement of a method
        named = con.execute("SELECT number, task, reference->>'$.name' FROM run WHERE task IS NOT NULL ORDER BY number")
        assert named.fetchall() == [(1, "ioi", "ioi, measured"), (2, "ioi", "ioi, measured")]
    store = Store.open(path)
    counts = store.rows("SELECT method, metric, count(*) FROM causes GROUP BY ALL ORDER BY ALL")
    assert counts == [("exact", "kl", 1), ("exact", "logit_difference", 32)]
    # Two heads were measured again, later than the others.
    assert store.rows("SELECT count(DISTINCT measured) FROM causes WHERE metric = 'logit_difference'") == [(2,)]
    again = "SELECT node FROM causes WHERE metric <> 'kl' AND measured = (SELECT max(measured) FROM causes c "
    assert store.rows(f"{again} WHERE c.metric <> 'kl') ORDER BY node") == [("1.1",), ("2.3",)]
    about = "SELECT task, reference, reference_kind, known_circuit FROM runs WHERE session = 'fixture' ORDER BY number"
    runs = store.rows(about)
    assert runs == [
        ("ioi", "effects measured in this run", "effects", "ioi, measured"),
        (None, None, None, "ioi, measured"),  # a user's own examples, in a session of the task
    ]
    truth = store.rows(
        "SELECT n.node FROM nodes n JOIN runs r ON r.run_id = n.run_id "
        "WHERE r.session = 'fixture' AND r.number = 1 AND n.in_reference ORDER BY ALL"
    )
    moving = store.rows("SELECT node FROM causes WHERE metric <> 'kl' AND abs(effect) >= .05 * abs(base) ORDER BY ALL")
    assert truth == moving
    assert 5 < len(truth) < 25
    store.close()
