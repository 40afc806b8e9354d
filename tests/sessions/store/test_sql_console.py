"""Test `headcode sql`: the documented views can be queried, and nothing else."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.events import Notice
from sessions.errors import BadQuery, HostGone, Refusal
from sessions.protocol import QuerySql, SqlAnswer
from sessions.store import sql_console
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder
from sessions.store.views import VIEWS

from .queried_store import queried_store

DOC = Path(__file__).parents[3] / "docs" / "sql.md"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, script):
    store = queried_store(tmp_path_factory.mktemp("store"), script)
    yield store
    store.close()


@pytest.fixture
def cursor(store: Store):
    cursor = store.cursor()
    yield cursor
    cursor.close()


def answer(cursor: Any, text: str, **more: Any) -> list[list[object]]:
    return list(sql_console.ask(cursor, text, **more).rows)


# ---- answers


def described() -> dict[str, list[tuple[str, str]]]:
    """Return the views and columns that docs/sql.md describes."""
    found: dict[str, list[tuple[str, str]]] = {}
    view = ""
    for line in DOC.read_text().splitlines():
        if line.startswith("## "):
            view = line[3:]
        match = re.fullmatch(r"\| (\w+) \| ([A-Z][^|]*) \|.*\|", line)
        if match:
            found.setdefault(view, []).append((match[1], match[2]))
    return found


def test_the_page_describes_every_column_there_is(cursor) -> None:
    found: dict[str, list[tuple[str, str]]] = {}
    for view, column, kind in sql_console.overview(cursor).rows:
        found.setdefault(str(view), []).append((str(column), str(kind)))
    assert found == described()
    assert list(found) == list(VIEWS)


def test_every_example_of_the_page_runs(cursor) -> None:
    examples = re.findall(r"```sql\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert len(examples) >= 8
    answers = [answer(cursor, example) for example in examples]
    assert sum(bool(rows) for rows in answers) >= 5
    assert {tuple(row[:2]) for row in answers[0]} == {("of greater_than", 1), ("of ioi", 1)}
    assert all(row[2] == 1 for row in answers[1])  # one run of that task outside the trash


def test_each_view_shows_what_was_recorded_and_nothing_of_the_trash(cursor, store: Store) -> None:
    counts = {view: answer(cursor, f"SELECT count(*) FROM {view}")[0][0] for view in VIEWS}  # noqa: S608
    assert (counts["sessions"], counts["runs"], counts["notes"]) == (2, 2, 2)
    assert (counts["nodes"], counts["tags"], counts["circuits"]) == (2 * 6, 4, 4)
    for view, table in (("steps", "step"), ("grades", "grade"), ("edges", "edge_score")):
        assert counts[view] * 3 == store.rows(f"SELECT count(*) FROM {table}")[0][0] * 2, view  # noqa: S608
    assert counts["codes"] == 2 * 2 * 4 * 6
    # The newer of two measurements.
    output = "place, source, target, effect, metric, base, replacement, n_examples, source_layer, target_head"
    effects = answer(cursor, f"SELECT {output} FROM edge_effects WHERE session_id = 's1' ORDER BY place")  # noqa: S608
    assert counts["edge_effects"] == 2 * len(effects)
    assert effects == [
        [1, "0.1", "1.0", -0.75, "logit_difference", 3.5, "pair", 2, 0, 0],
        [2, "0.0", "1.2", 0.5, "logit_difference", 3.5, "pair", 2, 0, 2],
    ]
    output = "number, kind, nodes, code, source, seed, at_tokens, unit, strength, metric, base, effect, error, prompts"
    steered = answer(cursor, f"SELECT {output} FROM steerings WHERE run_id = 'r-s1' ORDER BY number, strength")  # noqa: S608
    assert counts["steerings"] == 2 * len(steered)
    code = [1, "code", ["1.2"], 0, None, 5, "-1", 1.5]
    assert steered == [
        [*code, -2.0, "logit_difference", 3.5, -1.0, 0.5, 2],
        [*code, 2.0, "logit_difference", 3.5, 0.5, None, 2],
        [*code, 3.0, "logit_difference", 3.5, None, None, 2],
        [2, "contrast", ["m0"], None, "stream", None, "last", 2.0, 1.0, "kl", 0.0, 0.5, None, 1],
        [3, "off", ["0.1", "m1"], None, None, None, "all", None, None, None, None, None, None, None],
    ]
    output = "random_directions, band_low, band_high, outside, kl, cost"
    assert answer(cursor, f"SELECT {output} FROM steerings WHERE session_id = 's2' ORDER BY number, strength") == [  # noqa: S608
        [2, -0.25, 0.75, True, None, None],
        [2, -0.25, 0.75, False, None, None],
        [None, None, None, None, 0.25, 0.25],
        [0, None, None, None, 0.75, None],
        [None, None, None, None, 0.5, None],
    ]
    assert answer(cursor, "SELECT DISTINCT session, run, layer, head, text FROM notes ORDER BY ALL")[0] == [
        "of greater_than",
        1,
        1,
        2,
        "look\nhere",
    ]
    row = sql_console.ask(cursor, "FROM runs ORDER BY session").rows[0]
    run = dict(zip(sql_console.ask(cursor, "FROM runs").columns, row, strict=True))
    assert (run["session"], run["state"], run["seeds"], run["codes"], run["complete"]) == (
        "of greater_than",
        "done",
        [4, 5],
        200,
        True,
    )
    assert [row[0] for row in answer(cursor, "SELECT place FROM nodes WHERE run_id = 'r-s1' ORDER BY place")] == [
        *range(1, 7)
    ]
    assert answer(cursor, "SELECT * FROM nodes WHERE run_id = 'r-s3'") == []


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "FROM runs",
        " /* a word first */ select 1 -- and one after",
        "WITH a AS (SELECT 1 AS x) SELECT * FROM a, (WITH b AS (FROM a) FROM b)",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
        "WITH runs AS (SELECT 1) FROM runs",
        "DESCRIBE runs",
        "SUMMARIZE nodes",
        "DESCRIBE SELECT * FROM runs",
        "SELECT * FROM main.runs",
        'SELECT * FROM "RUNS"',
        "FROM range(3)",
        "SELECT unnest(tags) FROM sessions",
        "VALUES (1)",
        "SELECT now() IS NULL, random() < 2, current_date IS NULL",
        "FROM nodes PIVOT (avg(unique_positive) FOR layer IN (0, 1) GROUP BY head)",
        "PIVOT runs ON state IN ('done', 'failed') USING count(*)",
        "UNPIVOT (SELECT head, layer FROM nodes) ON head, layer",
        "SELECT run_id, row_number() OVER () FROM runs QUALIFY true",
        "SELECT 1;",
    ],
)
def test_questions_that_are_answered(cursor, text: str) -> None:
    assert answer(cursor, text)


def test_values_come_as_json_can_hold_them(cursor) -> None:
    text = (
        "SELECT 1e400::DOUBLE, 'nan'::DOUBLE, 2::HUGEINT ** 100, DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05', "
        "'\\xFF'::BLOB, [1, NULL], {'a': [1.5]}, 1.25::DECIMAL(5, 2), NULL, true, INTERVAL 1 DAY, "
        "170141183460469231731687303715884105727"
    )
    assert answer(cursor, text)[0] == [
        None,
        None,
        2.0**100,
        "2026-01-02",
        "2026-01-02 03:04:05",
        "ff",
        [1, None],
        {"a": [1.5]},
        1.25,
        None,
        True,
        "1 day, 0:00:00",
        "170141183460469231731687303715884105727",
    ]
    assert sql_console.ask(cursor, "SELECT 1 AS a, 2 AS a, 3 AS a").columns == ("a", "a_2", "a_3")


# ---- refusals

HOSTILE = [
    "INSERT INTO tag VALUES ('s1', 'x')",
    "UPDATE session SET name = 'x'",
    "DELETE FROM event",
    "DROP TABLE event",
    "CREATE TABLE x (a INT)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "ALTER TABLE event ADD COLUMN x INT",
    "TRUNCATE event",
    "COPY runs TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '/tmp/x.parquet'",
    "ATTACH '/tmp/x.duckdb'",
    "DETACH sessions",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "RESET threads",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "EXPORT DATABASE '/tmp/x'",
    "USE main",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "DESCRIBE",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE event",
    "",
    " ; ",
    "-- nothing",
    "SELECT * FROM event",
    "SELECT (SELECT count(*) FROM event)",
    "SELECT * FROM runs WHERE run_id IN (SELECT run_id FROM step)",
    "SELECT * FROM runs ORDER BY (SELECT max(seq) FROM event)",
    "SELECT * FROM runs LIMIT (SELECT count(*) FROM event)",
    "SELECT * FROM (WITH event AS (SELECT 1) FROM event) AS a, event AS b",
    "WITH event AS (SELECT 1) SELECT * FROM event",
    "DESCRIBE event",
    "SUMMARIZE session",
    "SELECT 1 UNION ALL SELECT seq FROM event",
    "SELECT * FROM main.event",
    "SELECT * FROM sessions.main.event",
    "SELECT * FROM system.main.duckdb_settings",
    "SELECT * FROM temp.runs",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM pragma_table_info('event')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM query('SELECT * FROM event')",
    "SELECT * FROM query_table('event')",
    "SELECT * FROM histogram('event', seq)",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM test_all_types()",
    "SELECT * FROM force_checkpoint()",
    "SELECT getenv('HOME')",
    "SELECT system.main.getenv('HOME')",
    "SELECT current_setting('threads')",
    "SELECT list_transform([1], x -> current_setting('threads'))",
    "SELECT nextval('x')",
    "SELECT write_log('x')",
    "SELECT sleep_ms(10000)",
    "SELECT pg_sleep(10)",
    "SELECT which_secret('s3://x', 's3')",
    "SELECT $1",
    "SELECT ?",
    "SELECT nothing FROM runs",
    "SELECT no_such_function(1)",
    "SELECT 1/",
    "\0",
    "\ud800",
    "(" * 5000,
    "SELECT " + "(" * 2000 + "1" + ")" * 2000,
    "SELECT " + "abs(" * 700 + "1" + ")" * 700,
    "SELECT * FROM " + "(SELECT * FROM " * 700 + "runs" + ")" * 700,
    "SELECT " + "+".join(["1"] * 5000),
    "SELECT '" + "x" * 100_000 + "'",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40].encode("unicode_escape").decode())
def test_questions_that_are_refused(cursor, store: Store, text: str) -> None:
    before = store.rows("SELECT count(*), max(at_us) FROM event")
    with pytest.raises(BadQuery) as found:
        sql_console.ask(cursor, text)
    assert found.value.hint
    assert found.value.message[-1] in ".!?"
    assert len(found.value.message) < 500
    assert store.rows("SELECT count(*), max(at_us) FROM event") == before
    assert answer(cursor, "SELECT 1") == [[1]]


def test_the_second_lock_holds_where_the_first_is_open(cursor, monkeypatch) -> None:
    """Even a statement that passed the check runs in a read-only transaction of a database without files."""
    monkeypatch.setattr(sql_console, "check", lambda _cursor, text: text)
    for text in HOSTILE[:12]:
        if "TEMP" not in text:  # a temporary table of the cursor, gone with its transaction
            with pytest.raises(BadQuery):
                sql_console.ask(cursor, text)
    with pytest.raises(BadQuery):
        sql_console.ask(cursor, "SELECT * FROM read_text('/etc/passwd')")


def test_mistakes_are_answered_with_the_nearest_names(cursor) -> None:
    for text, hint in (
        ("SELECT * FROM node", "Did you mean nodes?"),
        ("SELECT unique_positiv FROM nodes", 'Nearest: "unique_positive"'),
        ("SELECT roundd(1)", "Nearest:"),
        ("SELECT * FROM nodes WHER layer = 1", "line 1"),
    ):
        with pytest.raises(BadQuery) as found:
            sql_console.ask(cursor, text)
        assert hint in found.value.hint, found.value.hint
        assert "Error:" not in found.value.message


# ---- limits


def test_an_answer_stops_at_its_limits_and_says_so(cursor, monkeypatch) -> None:
    found = sql_console.ask(cursor, "FROM range(1000000)", limit=10)
    assert (len(found.rows), found.cut) == (10, "the first 10 rows")
    assert sql_console.ask(cursor, "FROM range(10)", limit=10).cut == ""
    monkeypatch.setattr(sql_console, "MAX_BYTES", 1 << 20)
    found = sql_console.ask(cursor, "SELECT repeat('x', 100000) FROM range(1000)", limit=1000)
    assert (len(found.rows), found.cut) == (10, "the first 10 rows: together they have 1 MB")


def test_a_query_without_end_is_stopped(cursor) -> None:
    with pytest.raises(BadQuery, match=r"took longer than 0\.5 s"):
        sql_console.ask(
            cursor, "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range", seconds=0.5
        )
    assert answer(cursor, "SELECT 1") == [[1]]


def test_a_query_that_wants_all_memory_is_told_so(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "small.duckdb", memory="64MB")
    cursor = store.cursor()
    with pytest.raises(BadQuery) as found:
        sql_console.ask(cursor, "SELECT list(repeat('x', 1000) || range) FROM range(10000000)", seconds=60)
    assert "memory" in found.value.message or "took longer" in found.value.message
    assert store.rows("SELECT 1") == [(1,)]
    cursor.close()
    store.close()


def test_appends_go_on_while_a_query_works(store: Store) -> None:
    """The query has a separate cursor and thread: a run's events are committed meanwhile."""
    recorder, cursor = Recorder(store), store.cursor()
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            sql_console.ask(cursor, "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range")
        except BadQuery as error:
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=work)
    thread.start()
    appended = 0
    for _ in range(20):
        recorder.append([EventDraft(session_id="s1", event=Notice(message="going on"))])
        appended += not ended
    cursor.interrupt()
    thread.join(600)
    assert appended == 20
    assert len(ended) == 1
    assert isinstance(ended[0], BadQuery)
    assert store.rows("SELECT count(*) FROM event WHERE kind = 'notice'")[0][0] >= 20
    cursor.close()


async def test_the_host_answers_others_while_it_computes(lab) -> None:
    client, other = await lab.connect(), await lab.connect()
    await lab.session(client, name="one")
    assert (await client.ask(QuerySql(sql="SELECT name FROM sessions"), SqlAnswer)).table.rows == (["one"],)
    assert len((await client.ask(QuerySql(sql=""), SqlAnswer)).table.rows) > 50
    with pytest.raises(Refusal, match="There is no view") as found:
        await client.ask(QuerySql(sql="FROM event"), SqlAnswer)
    assert found.value.family == "input"
    long = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range"
    asking = asyncio.gather(*(client.ask(QuerySql(sql=long), SqlAnswer) for _ in range(8)), return_exceptions=True)
    for _ in range(5):
        assert (await lab.status(client)).clients == 2  # on the same connection, too
    # Eight endless queries use two threads: a run is not delayed, from its first event to its files.
    _, end = await lab.finish(other, await lab.queue(other))
    assert end.state == "done"
    assert not asking.done()
    await client.close()  # the client is gone: the query ends, and the host can stop
    assert all(isinstance(each, HostGone) for each in await asking)


@pytest.mark.parametrize(
    "text",
    [
        "PIVOT runs ON state USING count(*)",
        "FROM (PIVOT runs ON state USING count(*))",
        "WITH p AS (PIVOT runs ON state USING count(*)) FROM p",
    ],
)
def test_a_pivot_of_unknown_values_is_refused_in_words_with_the_way_out(cursor, text: str) -> None:
    with pytest.raises(BadQuery, match="PIVOT that does not list its values") as found:
        answer(cursor, text)
    assert "MULTI" not in found.value.message
    assert answer(cursor, found.value.hint.removeprefix("List them: "))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EXPLAIN SELECT 1", "An EXPLAIN statement"),
        ("MERGE INTO runs USING runs s ON true WHEN MATCHED THEN DELETE", "A MERGE INTO statement"),
        ("DROP TABLE event", "A DROP statement"),
    ],
)
def test_statements_are_named_as_people_write_them(cursor, text: str, words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        answer(cursor, text)
