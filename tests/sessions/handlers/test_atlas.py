"""Test requests for atlases: read in parts, stored once, found by model, run or key; deleted."""

import pytest

from sessions.errors import Refusal
from sessions.protocol import (
    AtlasAnswer,
    AtlasesAnswer,
    AtlasProgress,
    DeleteAtlas,
    GetAtlas,
    GetOnPrompts,
    ListAtlases,
    OnPrompts,
    ReadOn,
)


async def test_an_atlas_is_read_in_parts_and_stored_when_it_is_finished(lab) -> None:
    client = await lab.connect()
    asked = ReadOn(model="toy", tokens=1000)
    first = await client.ask(asked, AtlasProgress)
    assert (first.done, first.total, first.finished) == (500, 1000, False)
    assert (await client.ask(ListAtlases(), AtlasesAnswer)).atlases == ()
    last = await client.ask(asked, AtlasProgress)
    assert (last.done, last.finished, last.key) == (1000, True, first.key)
    (row,) = (await client.ask(ListAtlases(), AtlasesAnswer)).atlases
    assert (row.key, row.asked, row.corpus) == (last.key, "toy", "toy")
    found = await client.ask(GetAtlas(atlas=row.identity), AtlasAnswer)
    assert found.row == row
    assert found.atlas.model.identity == row.identity
    # What is known is not read again.
    again = await client.ask(asked, AtlasProgress)
    assert again.finished
    assert (await client.ask(ListAtlases(), AtlasesAnswer)).atlases == (row,)
    gone = await client.ask(DeleteAtlas(atlas=row.key[:8]), AtlasesAnswer)
    assert gone.atlases == (row,)
    with pytest.raises(Refusal, match="toy"):
        await client.ask(GetAtlas(atlas="toy"), AtlasAnswer)


async def test_of_several_atlases_of_a_model_none_is_deleted_by_its_name(lab) -> None:
    client = await lab.connect()
    for corpus, tokens in (("toy", 1000), ("english", 600)):
        for _ in range(2):
            await client.ask(ReadOn(model="toy", corpus=corpus, tokens=tokens), AtlasProgress)
    rows = (await client.ask(ListAtlases(), AtlasesAnswer)).atlases
    assert len(rows) == 2
    for named in ("toy", rows[0].identity):
        with pytest.raises(Refusal, match="2 atlases are called") as refused:
            await client.ask(DeleteAtlas(atlas=named), AtlasesAnswer)
        assert all(row.key[:8] in refused.value.failure.message for row in rows)
    assert (await client.ask(ListAtlases(), AtlasesAnswer)).atlases == rows
    assert (await client.ask(DeleteAtlas(atlas=rows[1].key), AtlasesAnswer)).atlases == rows[1:]
    assert (await client.ask(DeleteAtlas(atlas="toy"), AtlasesAnswer)).atlases == rows[:1]


async def test_a_run_names_its_model_and_gives_its_prompts(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    for _ in range(2):
        progress = await client.ask(ReadOn(run=run.run_id, corpus="english", tokens=600), AtlasProgress)
    assert progress.finished
    row = (await client.ask(ListAtlases(), AtlasesAnswer)).atlases[0]
    assert (row.asked, row.corpus) == ("toy", "english")
    found = await client.ask(GetOnPrompts(run=run.run_id), OnPrompts)
    assert found.run.run_id == run.run_id
    assert found.prompts > 0
    assert found.nodes
    assert (await lab.detail(client, run.session_id)).last_seq == before


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (ReadOn(model="no/such/model/at/all", tokens=500), "no/such/model"),
        (ReadOn(model="toy", corpus="/nowhere.txt", tokens=500), "nowhere.txt"),
        (ReadOn(run="nobody", tokens=500), "nobody"),
    ],
)
async def test_what_is_not_there_is_named(request_: ReadOn, named: str, lab) -> None:
    client = await lab.connect()
    with pytest.raises(Refusal, match=named) as refused:
        await client.ask(request_, AtlasProgress)
    assert refused.value.hint
