"""Test the log read in pieces, condensed, and as a timeline, and recorded views."""

import itertools
from typing import Any

import pytest

from engine.examples import Example
from sessions.condense import condensed
from sessions.errors import Refusal
from sessions.events import LogEntry, ViewChanged
from sessions.protocol import Done, LogPiece, ReadLog, ReadTimeline, SessionAnswer, SetExamples, SetView, TimelineAnswer
from sessions.rows import Timeline

EXAMPLES = tuple(
    Example(prompt=f"{name} met", polarity=side, expected=(" x",))
    for name in ("Ann", "Bob", "Cy")
    for side in ("positive", "negative")
)


async def recorded(lab: Any) -> tuple[Any, str, list[LogEntry]]:
    """Return a session with an edit, two runs and a view, as its follower saw it."""
    client = await lab.connect()
    session = await lab.session(client)
    first = await lab.again(client, session.session_id)
    await lab.finish(client, first)
    await client.ask(SetView(run=first.run_id, look=ViewChanged(measure="overlap", cut=2)), Done)
    await client.ask(SetExamples(session=session.session_id, examples=EXAMPLES), SessionAnswer)
    second = await lab.again(client, session.session_id)
    entries, _ = await lab.finish(client, second)
    return client, session.session_id, entries


async def pieces(client: Any, session: str, **more: Any) -> list[LogEntry]:
    found: list[LogEntry] = []
    after, last = 0, 1
    while after < last:
        piece = await client.ask(ReadLog(session=session, after_seq=after, **more), LogPiece)
        assert piece.up_to > after
        found += piece.entries
        after, last = piece.up_to, min(more.get("up_to", piece.last_seq), piece.last_seq)
    return found


async def test_pieces_put_together_are_what_was_told_live(lab) -> None:
    client, session, entries = await recorded(lab)
    assert await pieces(client, session, most_bytes=1) == entries
    assert await pieces(client, session, most_bytes=2_000) == entries
    assert await pieces(client, session) == entries
    assert await pieces(client, session, up_to=7) == entries[:7]


async def test_a_condensed_piece_is_the_log_without_what_was_replaced(lab) -> None:
    client, session, entries = await recorded(lab)
    for up_to in (3, len(entries) // 2, len(entries)):
        found = await pieces(client, session, condensed=True, up_to=up_to)
        assert found == condensed(entries[:up_to])
        assert found[-1] == entries[up_to - 1]
    assert len(condensed(entries)) < len(entries)
    # Small pieces give the same: what is left out depends on the end of the reading, not of a piece.
    assert await pieces(client, session, condensed=True, most_bytes=1) == condensed(entries)


async def test_a_log_is_read_up_to_a_time(lab) -> None:
    client, session, entries = await recorded(lab)
    middle = entries[len(entries) // 2]
    piece = await client.ask(ReadLog(session=session, up_to_us=middle.at_us), LogPiece)
    assert piece.entries == tuple(entry for entry in entries if entry.at_us <= middle.at_us)
    asked = await client.ask(ReadLog(session=session, up_to_us=middle.at_us, most_bytes=0), LogPiece)
    assert (asked.entries, asked.up_to, asked.goal) == ((), 0, piece.up_to)
    before = await client.ask(ReadLog(session=session, up_to_us=entries[0].at_us - 1), LogPiece)
    assert (before.entries, before.up_to, before.last_seq) == ((), 0, len(entries))


async def times_of(client: Any, session: str, **more: Any) -> Timeline:
    return (await client.ask(ReadTimeline(session=session, **more), TimelineAnswer)).times


async def test_a_time_line_names_what_happened(lab) -> None:
    client, session, entries = await recorded(lab)
    times = await times_of(client, session)
    assert (times.first_us, times.last_us, times.last_seq) == (entries[0].at_us, entries[-1].at_us, len(entries))
    assert [(marker.kind, marker.words) for marker in times.markers] == [
        ("run", "run 1 asked for"),
        ("run", "run 1 begins"),
        ("edit", "examples: 2 + 2"),
        ("run", "run 1 done"),
        ("cut", "cut of run 1: 2 heads by overlap"),
        ("edit", "examples: 3 + 3, version 2"),
        ("run", "run 2 asked for"),
        ("run", "run 2 begins"),
        ("run", "run 2 done"),
    ]
    assert all(entries[marker.seq - 1].at_us == marker.at_us for marker in times.markers)
    every = await times_of(client, session, pause_us=0)
    assert [pause.seq for pause in every.pauses] == [
        entry.seq for before, entry in itertools.pairwise(entries) if entry.at_us > before.at_us
    ]
    assert every.pauses[0].to_us == entries[every.pauses[0].seq - 1].at_us


async def test_a_look_is_recorded_once_and_nonsense_is_refused(lab) -> None:
    client, session, entries = await recorded(lab)
    look = ViewChanged(measure="q_value", cut=3)
    for _ in range(2):
        await client.ask(SetView(run=f"{session}/2", look=look), Done)
    again = await pieces(client, session)
    assert [entry.event for entry in again[len(entries) :]] == [look]
    assert again[-1].run_id == entries[-1].run_id
    with pytest.raises(Refusal, match="no measure 'aura'"):
        await client.ask(SetView(run=f"{session}/2", look=ViewChanged(measure="aura", cut=3)), Done)
    with pytest.raises(Refusal, match="at least one"):
        await client.ask(SetView(run=f"{session}/2", look=ViewChanged(measure="overlap", cut=0)), Done)
    for request, answer in ((ReadLog(session="none"), LogPiece), (ReadTimeline(session="none"), TimelineAnswer)):
        with pytest.raises(Refusal, match="no session 'none'"):
            await client.ask(request, answer)
