"""Test requests for what is inside a node: the worker gets the run's own examples; nothing is recorded."""

import pytest

from engine.config import EffectsConfig
from sessions.errors import SessionError
from sessions.protocol import (
    Ablation,
    GetAblation,
    GetGrid,
    GetMlp,
    GetNeuron,
    GetPlaces,
    GetThrough,
    MlpInspection,
    NeuronInspection,
    Places,
    StreamGrid,
    Through,
)


async def test_places_are_measured_on_the_runs_own_examples(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    config = EffectsConfig(method="exact", metric="kl", replacement="zero")
    found = await client.ask(GetPlaces(run=run.run_id, node="1.2", config=config), Places)
    assert (found.how.metric, found.how.replacement) == ("kl", "zero")
    assert found.how.notices == ("1.2", found.model.identity, str(run.task))
    assert found.run.run_id == run.run_id
    assert found.prompts
    assert all(each.effects == tuple(map(float, range(len(each.tokens)))) for each in found.prompts)
    # MLPs and the embedding can be asked for on a run with heads only.
    assert (await client.ask(GetPlaces(run=run.run_id, node="m1"), Places)).how.notices[0] == "1.-1"
    assert (await client.ask(GetPlaces(run=run.run_id, node="emb"), Places)).how.notices[0] == "-1.-1"
    assert (await lab.detail(client, run.session_id)).last_seq == before


async def test_the_grid_and_neurons_are_of_the_runs_own_examples(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    grid = await client.ask(GetGrid(run=run.run_id), StreamGrid)
    assert grid.how.notices == (grid.model.identity, str(run.task))
    assert grid.prompts[0].effects["mlp"][1] == (1.0,) * len(grid.prompts[0].tokens)
    request = GetMlp(run=run.run_id, layer=1, example=2, most=5, exact=3, neurons=(4, 6))
    found = await client.ask(request, MlpInspection)
    assert found.how.notices[:4] == ("1", "5", "3", "(4, 6)")
    assert (found.run.run_id, found.n_neurons, found.attribution) == (run.run_id, 7, 0.5)
    assert found.tokens
    assert (await lab.detail(client, run.session_id)).last_seq == before
    with pytest.raises(SessionError, match="m2") as refused:
        await client.ask(GetMlp(run=run.run_id, layer=2), MlpInspection)
    assert refused.value.hint


async def test_later_nodes_are_of_the_runs_own_examples(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    found = await client.ask(GetThrough(run=run.run_id, node="m0", layers=(1,)), Through)
    assert found.how.notices == ("0.-1", found.model.identity, str(run.task))
    assert [(one.layer, one.effect) for one in found.through] == [(1, 1.0)]
    with pytest.raises(SessionError, match=r"7\.7"):
        await client.ask(GetThrough(run=run.run_id, node="7.7"), Through)


async def test_nodes_are_turned_off_on_an_example_or_on_another_prompt(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq

    async def off(**given: object) -> Ablation:
        asked = {"run": run.run_id, "nodes": ("0.1", "m1")} | given
        return await client.ask(GetAblation(**asked), Ablation)

    found = await off()
    assert (found.nodes, found.kl) == (("0.1", "m1"), 0.5)
    assert found.next_tokens[0].token == "2"
    # With its pair, whichever side it is on; without one by the mean over negatives.
    assert found.how.notices[:3] == ("pair", found.prompt, found.other)
    turned = await off(example=1)
    assert (turned.prompt, turned.other) == (found.other, found.prompt)
    own = await off(prompt="Another prompt")
    assert (own.how.notices[0], own.prompt, own.other) == ("mean", "Another prompt", "")
    assert found.other in own.how.notices
    assert (await off(prompt="Another prompt", other="A pair")).how.notices[:3] == ("pair", "Another prompt", "A pair")
    assert (await off(replacement="zero")).how.notices[0] == "zero"
    assert (await lab.detail(client, run.session_id)).last_seq == before
    for given, named in (
        ({"nodes": ()}, "No node"),
        ({"nodes": ("0.1", "m9")}, "m9"),
        ({"example": 99}, "example 100"),
        ({"prompt": "Another prompt", "replacement": "pair"}, "no pair"),
        ({"replacement": "resample"}, "resample"),
    ):
        with pytest.raises(SessionError, match=named) as refused:
            await off(**given)
        assert refused.value.hint


async def test_a_neuron_needs_no_run(lab) -> None:
    client = await lab.connect()
    found = await client.ask(GetNeuron(model="toy", layer=1, neuron=5, prompt="one two"), NeuronInspection)
    assert (found.facts.layer, found.facts.neuron) == (1, 5)
    assert found.on_prompt is not None
    assert found.on_prompt.tokens == ("one", "two")
    assert (await client.ask(GetNeuron(model="toy", layer=1, neuron=5), NeuronInspection)).on_prompt is None


@pytest.mark.parametrize(
    ("run", "node", "named"),
    [("nobody", "0.1", "nobody"), ("", "9.0", "9.0"), ("", "0.99", "0.99"), ("", "m2", "m2"), ("", "head 3", "head 3")],
)
async def test_what_is_not_there_is_named(run: str, node: str, named: str, lab) -> None:
    client = await lab.connect()
    row = await lab.queue(client)
    await lab.finish(client, row)
    with pytest.raises(SessionError, match=named) as found:
        await client.ask(GetPlaces(run=run or row.run_id, node=node), Places)
    assert found.value.hint
