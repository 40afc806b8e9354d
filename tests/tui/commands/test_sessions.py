"""`headcode sessions`: rename, tag, note, search, delete, restore, empty, as a person and as a script see them."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.examples import Example
from engine.machine.folders import AppFolders, find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import CreateSession, SessionAnswer

SCRIPTED = Path(__file__).parents[2] / "sessions" / "scripted_host.py"
_ID = re.compile(r"\b[snr][0-9a-hjkmnp-tv-z]{12}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+")


def plain(text: str) -> str:
    """The text with ids and times, which differ from run to run, replaced."""
    return _TIME.sub("TIME", _ID.sub("ID", text))


@pytest.fixture
def kept(headcode: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The command line, with a host that has the sessions `ioi friday` and `greater`."""
    places = find_folders()

    async def fill(places: AppFolders) -> None:
        async with await HostClient.connect(places, command=[sys.executable, "-P", str(SCRIPTED)]) as client:
            examples = (
                Example(prompt="When Mary and John went to the store", polarity="positive"),
                Example(prompt="When Mary and Ruth went to the store", polarity="negative"),
            )
            await client.ask(
                CreateSession(name="ioi friday", model="toy", task="ioi", examples=examples), SessionAnswer
            )
            await client.ask(CreateSession(name="greater", model="toy", task="greater_than"), SessionAnswer)

    asyncio.run(fill(places))
    yield headcode
    asyncio.run(stop_host(places))


def test_a_day_with_sessions(kept: Callable[..., Any]) -> None:
    """One host for all of it: starting one takes a second."""
    ran = kept("sessions", "rename", "greater", "greater than")
    assert (ran.code, plain(ran.out), ran.err) == (0, "greater than  ID\n", "")
    ran = kept("sessions", "tag", "ioi friday", "+paper", "draft", "--add", "To-Check")
    assert (ran.code, ran.out) == (0, "ioi friday  #draft #paper #to-check\n")
    ran = kept("sessions", "tag", "ioi friday", "-draft", "--remove", "to-check")
    assert (ran.code, ran.out) == (0, "ioi friday  #paper\n")
    assert kept("sessions", "tag", "greater than").out == "greater than  no tags\n"
    ran = kept("sessions", "note", "ioi friday", "look at the\x1b[2J store")
    assert (ran.code, plain(ran.out)) == (0, "the session  ID\n")
    note_id = ran.out.split()[-1]
    ran = kept("sessions", "note", "ioi friday", "-", "--change", note_id, stdin=b"two\nlines\xff\n")
    assert ran.code == 0
    assert plain(kept("sessions", "note", "ioi friday").out) == "note on the session  TIME  ID\n  two\n  lines\ufffd\n"
    listed = kept("sessions", "list")
    assert plain(listed.out) == (
        "session       model  task          examples  runs  changed                  tags    id\n"
        "ioi friday    toy    ioi           1+1       0     TIME  #paper  ID\n"
        "greater than  toy    greater_than  0+0       0     TIME  -       ID\n"
    )
    assert [row.split()[0] for row in kept("sessions", "list", "--tag", "#Paper").out.splitlines()[1:]] == ["ioi"]
    assert len(kept("sessions", "list", "--search", "mary").out.splitlines()) == 2
    shown = kept("sessions", "show", "ioi friday")
    assert "\ntags  #paper\nnote on the session  TIME  ID\n  two\n" in plain(shown.out)
    found = kept("sessions", "search", "JOHN", "store")
    assert plain(found.out) == ("ioi friday  toy  ioi  0 runs  ID\n  prompt  When Mary and John went to the store\n")
    value = msgspec.json.decode(kept("sessions", "search", "john", "--json").out)
    assert value["schema"] == "headcode.search/1"
    assert value["hits"][0]["matches"] == [
        {"where": "prompt", "text": "When Mary and John went to the store", "more": 0}
    ]
    ran = kept("sessions", "search", "nothing at all")
    assert (ran.code, ran.out) == (0, "")
    assert "No session contains" in ran.err
    ran = kept("sessions", "note", "ioi friday", "--remove", note_id[:-1], "--json")
    assert msgspec.json.decode(ran.out)["note"]["text"] == "two\nlines\ufffd"

    ran = kept("sessions", "delete", "ioi friday")
    assert ran.code == 0
    assert "headcode sessions restore s" in ran.err
    assert "ioi friday" not in kept("sessions", "list").out
    assert "deleted" in kept("sessions", "list", "--trash").out
    ran = kept("sessions", "show", "ioi friday")
    assert ran.code == 2
    assert "one of that name is in the trash" in ran.err
    session_id = kept("sessions", "list", "--trash").out.split()[-1]
    assert "In the trash since" in kept("sessions", "show", session_id).out
    ran = kept("sessions", "restore", "ioi friday", "--json")
    value = msgspec.json.decode(ran.out)
    assert (value["schema"], value["session"]["name"]) == ("headcode.session_row/1", "ioi friday")
    assert (value["session"]["tags"], value["session"]["trashed_us"]) == (["paper"], None)

    kept("sessions", "delete", session_id)
    ran = kept("sessions", "empty")
    assert ran.code == 2
    assert "Confirm with --yes" in ran.err
    ran = kept("sessions", "empty", "--yes", "--json")
    value = msgspec.json.decode(ran.out)
    assert (value["schema"], [row["name"] for row in value["sessions"]]) == ("headcode.emptied/1", ["ioi friday"])
    assert kept("sessions", "empty").err == "The trash is empty.\n"
    assert kept("sessions", "list", "--trash").err == "The trash is empty.\n"

    for words, message in (
        (["rename", "greater than", ""], "'' is not a valid session name"),
        (["rename", "greater than", "x" * 201], "has 201 characters"),
        (["rename", "greater thn", "x"], "Did you mean 'greater than'?"),
        (["tag", "greater than", "x" * 5000], "has 5000 characters"),
        (["tag", "greater than", "+two words"], "'two words' is not a valid tag"),
        (["tag", "greater than", "-x"], "has no tag 'x'"),
        (["note", "greater than", " "], "The note is empty"),
        (["note", "greater than", "y" * 20_001], "has 20001 characters"),
        (["note", "greater than", "x", "--head", "9.6"], "has no run latest"),
        (["note", "greater than/1", "x", "--run", "2"], "already names a run"),
        (["note", "greater than", "x", "--head", "nine"], "'nine' is not a head"),
        (["note", "greater than", "--remove", "n1"], "has no note 'n1'"),
        (["note", "greater than", "--head", "1.1"], "The note has no text"),
        (["search", " "], "search is empty"),
        (["restore", "greater than"], "is not in the trash"),
        (["delete", "nobody"], "There is no session 'nobody'"),
        (["empty", "nobody", "-y"], "no session 'nobody' in the trash"),
        (["list", "--search", "x", "--trash"], "--search does not cover the trash"),
    ):
        ran = kept("sessions", *words)
        assert (ran.code, ran.out) == (2, ""), words
        assert message in ran.err, (words, ran.err)


def test_help_is_help_and_a_tag_may_begin_with_h(headcode: Callable[..., Any]) -> None:
    assert "+TAG adds" in headcode("sessions", "tag", "-h").out


def test_questions_in_sql(kept: Callable[..., Any]) -> None:
    ran = kept("sql", "SELECT name, positives, tags, NULL AS x FROM sessions ORDER BY name")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "name        positives  tags  x\n"
        "greater             0        -\n"
        "ioi friday          1        -\n"
    )  # fmt: skip
    ran = kept(
        "sql", "-", "--csv", stdin=b"SELECT name, [1, 2] AS a, positives > 0 AS b, NULL AS n FROM sessions ORDER BY 1"
    )
    assert ran.out == 'name,a,b,n\ngreater,"[1,2]",false,\nioi friday,"[1,2]",true,\n'
    ran = kept("sql", "SELECT name AS a, 1.5 AS a FROM sessions", "--limit", "1", "--json")
    value = msgspec.json.decode(ran.out)
    assert (value["schema"], value["cut"], len(value["rows"])) == ("headcode.sql/1", "the first 1 rows", 1)
    assert value["rows"][0]["a_2"] == 1.5
    assert "Only the first 1 rows" in ran.err
    ran = kept("sql", "SELECT '\x1b[2J' AS x")
    assert "\x1b" not in ran.out
    ran = kept("sql")
    assert ran.out.startswith("sessions  session_id, name, model,")
    assert "docs/sql.md" in ran.err
    assert kept("sql", "SELECT 1 WHERE false").err == "No rows.\n"
    for words, message in (
        (["FROM event"], "There is no view 'event'"),
        (["FROM session"], "Did you mean sessions?"),
        (["SELECT 1; SELECT 2"], "2 statements"),
        (["DROP TABLE event"], "the console only reads"),
        (["  "], "The query is empty"),
        (["SELECT 1", "--csv", "--json"], "cannot be combined"),
        (["SELECT 1", "--limit", "0"], "--limit"),
    ):
        ran = kept("sql", *words)
        assert (ran.code, ran.out) == (2, ""), words
        assert message in ran.err, (words, ran.err)
    assert kept("sql", "-", stdin=b"\xff").code == 2


def test_gc_shows_before_it_removes(kept: Callable[..., Any]) -> None:
    folder = find_folders().activations
    folder.mkdir(parents=True)
    old = folder / "old.safetensors"
    old.write_bytes(b"x" * 2000)
    os.utime(old, (0, 0))
    ran = kept("gc")
    assert ran.code == 0
    assert re.search(r"^activations  1 \(2\.0 kB\)  1 \(2\.0 kB\) +activations, not used for 30 days", ran.out, re.M)
    assert "Nothing was deleted; --yes deletes these files." in ran.err
    assert old.exists()
    value = msgspec.json.decode(kept("gc", "--json").out)
    assert (value["schema"], value["removed"], value["bytes"]) == ("headcode.gc/1", False, 2000)
    ran = kept("gc", "--yes")
    assert "Deleted 2.0 kB." in ran.err
    assert not old.exists()
    assert "There are no files to delete." in kept("gc").err
    for words, message in ((["--cache-limit", "much"], "is not a size"), (["--cache-days", "-1"], "--cache-days")):
        ran = kept("gc", *words)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
