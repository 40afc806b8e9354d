"""Test the inspection of a head: the worker gets the run's prompt, codes and weights; nothing is recorded."""

import pytest

from sessions.errors import SessionError
from sessions.protocol import CodesAnswer, GetCodes, GetHeadInspection, HeadInspection


async def test_the_runs_own_prompt_codes_and_weights_are_used(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    _, end = await lab.finish(client, run)
    assert end.state == "done"
    before = (await lab.detail(client, run.session_id)).last_seq
    seed = run.config.seeds[1]
    look = await client.ask(GetHeadInspection(run=run.run_id, layer=1, head=2, example=3, seed=seed), HeadInspection)
    codes = (await client.ask(GetCodes(run=run.run_id, layer=1, head=2, seed=seed), CodesAnswer)).codes.codes
    assert look.tokens[-3:-1] == ("1.2", "seed 1")
    assert look.tokens[-1].endswith(".safetensors")
    assert look.code == codes[3]
    assert look.writes[0].code == codes[3]
    assert {each.code for each in look.writes} == {code for code in codes if code >= 0}
    assert (await lab.detail(client, run.session_id)).last_seq == before


async def test_a_run_whose_weights_are_on_another_machine_is_looked_at_without_them(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    for path in (lab.places.data / "sae").iterdir():
        path.unlink()
    look = await client.ask(GetHeadInspection(run=run.run_id, layer=1, head=2, example=3), HeadInspection)
    assert look.tokens[-1] == "no file"
    assert len(look.tokens) > 3


async def test_what_is_not_there_is_named(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    for request, named in (
        (GetHeadInspection(run="nobody", layer=0, head=0, example=0), "nobody"),
        (GetHeadInspection(run=run.run_id, layer=0, head=0, example=999), "1000"),
        (GetHeadInspection(run=run.run_id, layer=99, head=0, example=0), "99.0"),
    ):
        with pytest.raises(SessionError, match=named) as found:
            await client.ask(request, HeadInspection)
        assert found.value.hint
