"""Test how sessions are created, named, found and refused."""

import pytest

from engine.config import ProbeConfig, SAEConfig
from engine.examples import Example
from sessions.edits.examples import clean_name
from sessions.errors import BadName, Refusal
from sessions.protocol import (
    CodesAnswer,
    CreateSession,
    GetCodes,
    ListSessions,
    QueueRun,
    RunAnswer,
    SessionAnswer,
    SessionsAnswer,
    SetExamples,
)

YES, NO = Example(prompt="yes", polarity="positive"), Example(prompt="no", polarity="negative")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  ioi  friday ", "ioi friday"),
        ("a\tb\nc", "a b c"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("back\u202ewards", "backwards"),
        ("naïve 名前 👩‍🔬", "naïve 名前 👩‍🔬"),
        ("[b]bold[/b]", "[b]bold[/b]"),
        ("x" * 200, "x" * 200),
    ],
)
def test_names_lose_what_disturbs_a_terminal(given: str, kept: str) -> None:
    assert clean_name(given) == kept


@pytest.mark.parametrize("given", ["", "  ", "\x1b\x00", "\n", "x" * 201])
def test_names_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(BadName) as found:
        clean_name(given)
    assert found.value.hint


async def test_a_taken_name_gets_a_number(lab) -> None:
    client = await lab.connect()
    names = [
        (await lab.session(client, name=name)).name
        for name in ("mine", "mine", " mine ", "mine 2", "x" * 200, "x" * 200)
    ]
    assert names == ["mine", "mine 2", "mine 3", "mine 2 2", "x" * 200, "x" * 188 + " 2"]
    assert (await lab.session(client)).name.startswith("ioi 20")
    assert (await lab.session(client, task=None, examples=(YES, NO))).name.startswith("examples 20")


async def test_sessions_are_listed_by_what_happened_last(lab) -> None:
    client = await lab.connect()
    rows = [await lab.session(client, name=name, examples=(YES, NO)) for name in "abc"]
    assert [row.session_id for row in rows] == sorted(row.session_id for row in rows)
    await client.ask(SetExamples(session="a", examples=(YES, NO, NO)), SessionAnswer)
    listed = (await client.ask(ListSessions(), SessionsAnswer)).sessions
    assert [(row.name, row.n_positive, row.n_negative) for row in listed] == [("a", 1, 2), ("c", 1, 1), ("b", 1, 1)]
    assert len((await client.ask(ListSessions(limit=2), SessionsAnswer)).sessions) == 2
    assert (await client.ask(ListSessions(limit=-5), SessionsAnswer)).sessions == ()


async def test_a_session_is_found_by_id_name_beginning_and_latest(lab) -> None:
    client = await lab.connect()
    one, other = [await lab.session(client, name=name) for name in ("one/1", "other")]
    for reference in (one.session_id, one.session_id[:-1], "one/1"):
        assert (await lab.detail(client, reference)).session == one
    assert (await lab.detail(client, "latest")).session == other
    with pytest.raises(Refusal, match=r"begins several session ids: .*other.*one/1"):
        await lab.detail(client, one.session_id[:3])
    for unknown in ("nobody", "", "%", "_" * 13, "'; DROP TABLE session; --"):
        with pytest.raises(Refusal, match="There is no session") as found:
            await lab.detail(client, unknown)
        assert found.value.family == "input"
        assert "other" in found.value.hint


async def test_a_run_is_found_by_id_beginning_and_number(lab) -> None:
    client = await lab.connect()
    first = await lab.queue(client)
    second = await lab.again(client, first.session_id)
    await lab.finish(client, second)
    for reference, run in (
        (first.run_id, first),
        (first.run_id[:-1], first),
        (f"{first.session_id}/1", first),
        ("latest/2", second),
        ("latest/latest", second),
        ("latest", second),
    ):
        codes = (await client.ask(GetCodes(run=reference, layer=0, head=1), CodesAnswer)).codes
        assert codes.run_id == run.run_id
    for unknown in ("latest/3", "latest/99999999999999", "nobody", "nobody/1", ""):
        with pytest.raises(Refusal) as found:
            await client.ask(GetCodes(run=unknown, layer=0, head=1), CodesAnswer)
        assert found.value.failure.name == "NoSuchRecord"
    with pytest.raises(Refusal, match="begins several run ids"):
        await client.ask(GetCodes(run="r", layer=0, head=1), CodesAnswer)


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ((YES,), "There is no negative example, and 1 positive"),
        ((YES, Example(prompt="no", polarity="negative", enabled=False)), "There is no negative example"),
        ((YES, NO, *(Example(prompt=p, polarity="positive", pair=1) for p in "ab")), "Pair 1 has 2 examples"),
    ],
)
async def test_examples_that_cannot_be_compared_are_drafts_and_no_run(
    lab, examples: tuple[Example, ...], words: str
) -> None:
    client = await lab.connect()
    session = await lab.session(client)
    with pytest.raises(Refusal, match=words) as found:
        await client.ask(CreateSession(model="toy", examples=examples), SessionAnswer)
    assert (found.value.family, found.value.failure.name) == ("input", "ExampleError")
    assert (await client.ask(ListSessions(), SessionsAnswer)).sessions == (session,)
    await client.ask(SetExamples(session=session.name, examples=examples), SessionAnswer)
    with pytest.raises(Refusal, match=words):
        await lab.again(client, session.session_id)


async def test_a_session_without_examples_cannot_run(lab) -> None:
    client = await lab.connect()
    session = await lab.session(client, task=None)
    with pytest.raises(Refusal, match="no examples yet"):
        await lab.again(client, session.session_id)


async def test_a_run_keeps_its_config(lab) -> None:
    client = await lab.connect()
    session = await lab.session(client)
    config = ProbeConfig(
        sae=SAEConfig(n_codes=64, sparsity=0.1), seeds=(2**31 - 1, 5), position="token:é\n", theta=0.25
    )
    run = (await client.ask(QueueRun(session=session.session_id, config=config, model="wait"), RunAnswer)).run
    assert (run.config, run.model, run.state, run.model_info) == (config, "wait", "queued", None)


async def test_prompts_are_kept_to_the_letter(lab) -> None:
    client = await lab.connect()
    prompts = ["[b]x[/b]", "\x1b[31m", "\u202e\u0000nul", "😀" * 1000, "x" * 100_000, "a\r\nb", " lead"]
    examples = tuple(
        Example(prompt=prompt, polarity=polarity, expected=(prompt[:3],), pair=pair)
        for pair, prompt in enumerate(prompts)
        for polarity in ("positive", "negative")
    )
    session = await lab.session(client, examples=examples)
    entries = await lab.entries(client, session.session_id, lambda have: len(have) == 2)
    assert entries[1].event.examples == examples
    run = await lab.again(client, session.session_id)
    entries, end = await lab.finish(client, run)
    assert end.state == "done"
    (made,) = [entry.event for entry in entries if entry.run_id and type(entry.event).__name__ == "ExamplesMade"]
    assert made.examples == examples
