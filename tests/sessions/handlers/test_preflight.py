"""Test estimates on a real host: a session's examples, a task's, earlier runs, missing models."""

from typing import Any

import msgspec

from engine.config import ProbeConfig, SAEConfig
from engine.examples import Example
from engine.planning.run_options import RunOptions
from sessions.protocol import CreateSession, GetPreflight, PreflightAnswer, SessionAnswer, SetExamples


async def ask(client: Any, **more: Any) -> Any:
    return (
        await client.ask(GetPreflight(options=more.pop("options", RunOptions()), **more), PreflightAnswer)
    ).preflight


async def test_before_and_after_a_first_run(lab: Any) -> None:
    client = await lab.connect()
    session = (await client.ask(CreateSession(model="toy", task="ioi", pairs=7), SessionAnswer)).session
    before = await ask(client, session=session.name)
    assert before.n_examples == 14
    assert before.fits is True
    assert [part.name for part in before.parts][:3] == ["program", "model", "activations"]
    assert before.duration.rough
    run = await lab.queue(client)
    await lab.finish(client, run)
    after = await ask(client, session=run.session_id)
    assert "1 earlier run of this model" in after.duration.basis or "another" in after.duration.basis
    assert after.held_bytes > 0


async def test_of_a_task_without_a_session_and_of_settings_that_cannot_fit(lab: Any) -> None:
    client = await lab.connect()
    vast = ProbeConfig(sae=SAEConfig(n_codes=65_536, training_examples=1_000_000), seeds=tuple(range(64)))
    found = await ask(client, task="ioi", pairs=50, options=RunOptions(config=vast))
    assert found.n_examples == 100
    assert found.fits is False
    assert any(words.startswith("the codes from 65536 to ") for words in found.lower)
    assert "does not fit" in found.words


async def test_how_many_pairs_are_missing(lab: Any) -> None:
    client = await lab.connect()
    seven = tuple(
        Example(prompt=f"{side} {pair}", polarity=side, pair=pair)  # type: ignore[arg-type]
        for pair in range(7)
        for side in ("positive", "negative")
    )
    # 2 ** 10 ways to exchange the sides of eleven pairs are the first that are 37 / .05 or more.
    for more, missing in (
        ({"examples": seven}, 4),
        ({"examples": (*seven, *(msgspec.structs.replace(each, pair=each.pair + 7) for each in seven))}, 4),
        ({"examples": (*seven, Example(prompt="so", polarity="positive", enabled=False))}, 4),
        ({"examples": seven[::2]}, None),
        ({"task": "ioi", "pairs": 7}, 4),
        ({"task": "ioi", "pairs": 30}, 0),
        ({"task": "ioi"}, 0),
    ):
        found = await ask(client, **more)
        assert (found.missing_pairs, found.n_heads) == (missing, 37)
    session = (await client.ask(CreateSession(model="toy"), SessionAnswer)).session
    await client.ask(SetExamples(session=session.session_id, examples=seven), SessionAnswer)
    assert (await ask(client, session=session.name)).missing_pairs == 4


async def test_of_a_model_that_is_not_here(lab: Any) -> None:
    client = await lab.connect()
    found = await ask(client, task="ioi", options=RunOptions(model="somebody/else"))
    assert (found.fits, found.peak_bytes, found.duration) == (None, None, None)
    assert "somebody/else" in found.words
    assert "models fetch" in found.words
