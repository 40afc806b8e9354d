"""Explanations are computed once and recorded; families and changes of codes come from what is stored."""

import pytest

from sessions.errors import SessionError
from sessions.events import ExplanationRecorded
from sessions.protocol import (
    AtlasProgress,
    CodesCompared,
    CompareCodes,
    Explained,
    Families,
    GetExplanation,
    GetFamilies,
    ReadOn,
    ReadTimeline,
    TimelineAnswer,
)


async def test_an_explanation_is_recorded_and_not_computed_again(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    request = GetExplanation(run=run.run_id, node="0.1", code=3)
    first = await client.ask(request, Explained)
    assert (first.recorded, first.explanation.code, first.explanation.passes) == (False, 3, 1)
    assert (await lab.detail(client, run.session_id)).last_seq == before + 1
    second = await client.ask(request, Explained)
    assert second.recorded
    assert second.explanation == first.explanation
    assert (await lab.detail(client, run.session_id)).last_seq == before + 1
    # Another code, another seed, and again on request.
    seeds = run.config.seeds
    for other in (
        GetExplanation(run=run.run_id, node="0.1", code=4),
        GetExplanation(run=run.run_id, node="0.1", code=3, seed=seeds[-1] if len(seeds) > 1 else None, again=True),
    ):
        assert not (await client.ask(other, Explained)).recorded
    timeline = await client.ask(ReadTimeline(session=run.session_id), TimelineAnswer)
    assert any("code 3 of 0.1 explained" in marker.words for marker in timeline.times.markers)
    assert ExplanationRecorded(explanation=first.explanation).explanation.seed == seeds[0]


async def test_words_come_from_the_newest_atlas_of_the_runs_model(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    request = GetExplanation(run=run.run_id, node="1.1", code=3)
    without = (await client.ask(request, Explained)).explanation
    assert (without.atlas_corpus, without.atlas_words) == ("", 0)
    for _ in range(2):
        last = await client.ask(ReadOn(model="toy", tokens=1000), AtlasProgress)
    assert last.finished
    # Recorded before there was one.
    assert (await client.ask(request, Explained)).explanation == without
    again = GetExplanation(run=run.run_id, node="1.1", code=3, again=True)
    found = (await client.ask(again, Explained)).explanation
    # " cat", "The", " and" and " the"
    assert (found.atlas_corpus, found.atlas_words) == ("toy", 4)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"node": "9.9"}, "9.9"), ({"seed": 77}, "seed 77"), ({"run": "nobody"}, "nobody"), ({"node": "head"}, "head")],
)
async def test_what_cannot_be_explained_is_named(given, named, lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    with pytest.raises(SessionError, match=named) as refused:
        await client.ask(GetExplanation(**({"run": run.run_id, "node": "0.1", "code": 3} | given)), Explained)
    assert refused.value.hint


async def test_families_and_changes_of_codes_need_no_model(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    found = await client.ask(GetFamilies(run=run.run_id), Families)
    assert found.tree.seed == run.config.seeds[0]
    assert found.tree.examples > 0
    with pytest.raises(SessionError, match="no seed 77"):
        await client.ask(GetFamilies(run=run.run_id, seed=77), Families)
    same = (await client.ask(CompareCodes(a=run.run_id, b=run.run_id), CodesCompared)).comparison
    assert same.kept == same.codes_a == same.codes_b
    assert not same.gone
    assert (await lab.detail(client, run.session_id)).last_seq == before
