"""Test the names of comparison sides in a real store, and seeds scored from their codes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.ranking import has_signal
from engine.code_scores.code_measures import code_measures, count_codes, paired_flips
from engine.code_scores.edge_scores import score_edges
from engine.errors import HeadcodeError
from engine.examples import Example
from engine.measures import number_of
from engine.nodes import NodeLayout
from engine.results import NO_CODE, NodeScores
from sessions.comparison.comparison import compare
from sessions.comparison.seed_scores import seed_nodes
from sessions.errors import Refusal
from sessions.protocol import (
    CircuitAnswer,
    CircuitsAnswer,
    CombineCircuits,
    ComparisonChoices,
    DeleteCircuit,
    Done,
    GetSides,
    ListCircuits,
    ListComparable,
    SaveCircuit,
    SessionAnswer,
    SetExamples,
    SidesAnswer,
)
from sessions.store.comparison_sides import whole_pairs

from ...run_parts import scores_of

NUMBERS = tuple(name for name in NodeScores.__struct_fields__ if name not in ("layer", "head", "other"))


@st.composite
def coded(draw: Any) -> tuple[np.ndarray, list[bool], list[tuple[int, int]]]:
    n_layers, n_heads, n_pairs, n_alone = draw(
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 40), st.integers(0, 4))
    )
    positive = [True, False] * n_pairs + [True, False] + [draw(st.booleans()) for _ in range(n_alone)]
    seed = draw(st.integers(0, 2**16))
    codes = np.random.default_rng(seed).integers(NO_CODE, draw(st.integers(1, 12)), (len(positive), n_layers * n_heads))
    return codes, positive, [(2 * pair, 2 * pair + 1) for pair in range(n_pairs)], n_heads  # type: ignore[return-value]


@settings(max_examples=60, deadline=None)
@given(coded())
def test_one_seed_has_the_scores_of_its_codes_and_the_baselines_of_its_run(made: Any) -> None:
    codes, positive, pairs, n_heads = made
    n_nodes = codes.shape[1]
    run = tuple(scores_of(*divmod(node, n_heads), **dict.fromkeys(NUMBERS, 0.5)) for node in range(n_nodes))
    found = seed_nodes(codes, positive, pairs, run, 2)
    one, side = codes[None], np.array(positive)
    expected = {name: values[0] for name, values in code_measures(count_codes(one, side)).items()}
    flips = paired_flips(one, np.array(pairs, dtype=np.int64).reshape(-1, 2))
    expected["from_edges"] = score_edges(one, side, NodeLayout.of([node.id for node in run])).per_node()
    if flips is not None:
        expected["paired_flips"] = flips[0]
    for name, values in expected.items():
        assert [number_of(node, name) for node in found] == pytest.approx(values.tolist(), abs=3e-6), name
    # Heads with equal codes on both polarities, or none, are in no circuit.
    assert sum(node.stability for node in found) == min(2, sum(has_signal(node) for node in found))
    assert {node.baseline_linear_probe for node in found} == {0.5}
    assert {node.p_value for node in found} == {None}


def test_whole_pairs_leave_out_halves() -> None:
    examples = [
        Example(prompt="a", polarity="negative", pair=3),
        Example(prompt="b", polarity="positive", pair=9),
        Example(prompt="c", polarity="positive", pair=3),
        Example(prompt="d", polarity="positive"),
    ]
    assert whole_pairs(examples) == [(2, 0)]


async def sides(client: Any, a: str, b: str) -> SidesAnswer:
    found: SidesAnswer = await client.ask(GetSides(a=a, b=b), SidesAnswer)
    return found


async def test_every_kind_of_side_is_found_by_its_name(lab: Any) -> None:
    client = await lab.connect()
    first = await lab.session(client, name="one")
    await lab.finish(client, await lab.again(client, "one", seeds=(0, 5)))
    await lab.finish(client, await lab.again(client, "one", seeds=(7,)))
    both = await sides(client, "one/1", "one")
    assert (both.a.title, both.b.title) == ("one/1", "one/2")
    assert both.a.shape == (2, 3)
    assert both.a.examples is not None
    assert len(both.a.examples) == 4
    assert both.a.asked["task"] == "ioi"
    assert compare(both.a, both.b).grid is not None

    seeds = await sides(client, "one/1@5", f"{both.a.run_id}@0")
    assert (seeds.a.title, seeds.a.seed, seeds.b.seed) == ("one/1 seed 5", 5, 0)
    # The scripted model's code is 100 * seed + 10 * example + place: every code is unique, place 0 is silent.
    assert [node.unique_positive for node in seeds.a.nodes] == [0.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert [node.silent for node in seeds.a.nodes] == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    changed = tuple(Example(prompt=word, polarity=side) for word, side in (("x", "positive"), ("y", "negative")))
    await client.ask(SetExamples(session="one", examples=changed), SessionAnswer)
    texts = await sides(client, "one@v1", "one@v2")
    assert texts.a.nodes == ()
    difference = compare(texts.a, texts.b).examples
    assert difference is not None
    assert (len(difference.only_a), len(difference.only_b)) == (4, 2)

    kept = (
        await client.ask(
            SaveCircuit(session="one", run="one/1", name="movers", heads=((0, 1), (1, 2)), source="cut of run 1"),
            CircuitAnswer,
        )
    ).circuit
    assert (kept.session_id, kept.run_id) == (first.session_id, both.a.run_id)
    for name in ("circuit:movers", "circuit:one/movers", f"circuit:{first.session_id}/movers"):
        found = await sides(client, name, "one/1")
        assert found.a.heads == ((0, 1), (1, 2))
        assert found.a.shape == (2, 3)

    choices = (await client.ask(ListComparable(run="one/1"), ComparisonChoices)).choices
    assert [(choice.group, choice.title) for choice in choices] == [
        ("Runs of this session", "run 2"),
        ("Seeds of this run", "seed 0"),
        ("Seeds of this run", "seed 5"),
        ("Saved circuits", "movers"),
    ]
    for choice in choices:
        again = await sides(client, "one/1", choice.reference)
        assert compare(again.a, again.b).grid is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one/9", "no run 9"),
        ("one/1@9", "one/1 has no seed 9"),
        ("one@v9", "no version 9"),
        ("circuit:nothing", "There is no circuit 'nothing'"),
        ("known", "No circuit is known for one/1"),
        ("known:one/1", "No circuit is known for one/1"),
        ("task:ioi", "No circuit is known for ioi on scripted"),
        ("nowhere", "no run 'nowhere'"),
    ],
)
async def test_what_is_not_there_is_said_in_words(lab: Any, name: str, words: str) -> None:
    client = await lab.connect()
    await lab.session(client, name="one")
    await lab.finish(client, await lab.again(client, "one", seeds=(0, 5)))
    with pytest.raises(HeadcodeError) as found:
        await sides(client, "one/1", name)
    assert words in found.value.message
    assert found.value.hint
    assert isinstance(found.value, Refusal)


async def test_names_with_signs_in_them_still_name_runs(lab: Any) -> None:
    client = await lab.connect()
    for name in ("a@1", "b/c", "d@v2"):
        await lab.session(client, name=name)
        await lab.finish(client, await lab.again(client, name, seeds=(0,)))
    assert (await sides(client, "a@1", "a@1/1")).a.title == "a@1/1"
    assert (await sides(client, "b/c", "b/c/1@0")).b.title == "b/c/1 seed 0"
    assert (await sides(client, "d@v2", "d@v2@v1")).a.kind == "run"


async def test_circuits_are_kept_combined_and_dropped(lab: Any) -> None:
    client = await lab.connect()
    session = await lab.session(client, name="one")
    other = await lab.session(client, name="two")
    run = await lab.again(client, "one", seeds=(0,))
    await lab.finish(client, run)
    for name, heads in (("p", ((0, 1), (1, 2))), ("q", ((1, 2), (1, 0)))):
        await client.ask(
            SaveCircuit(session="one", run="one/1", name=name, heads=heads, source="by hand"), CircuitAnswer
        )
    made = {
        operation: (
            await client.ask(
                CombineCircuits(session="one", operation=operation, of=("p", "q"), name=operation), CircuitAnswer
            )
        ).circuit
        for operation in ("union", "intersection", "subtract")
    }
    assert {name: row.heads for name, row in made.items()} == {
        "union": ((0, 1), (1, 2), (1, 0)),
        "intersection": ((1, 2),),
        "subtract": ((0, 1),),
    }
    assert made["subtract"].source == "difference of p, q"
    assert made["union"].run_id == run.run_id

    await client.ask(SaveCircuit(session="one", name="p", heads=((0, 0), (0, 0)), source="again"), CircuitAnswer)
    rows = (await client.ask(ListCircuits(session="one"), CircuitsAnswer)).circuits
    assert sorted((row.name, len(row.heads)) for row in rows) == [
        ("intersection", 1),
        ("p", 1),
        ("q", 2),
        ("subtract", 1),
        ("union", 3),
    ]
    await client.ask(SaveCircuit(session="two", name="p", heads=((0, 2),), source="elsewhere"), CircuitAnswer)
    with pytest.raises(Refusal, match="Several sessions have a circuit 'p'"):
        await sides(client, "circuit:p", "circuit:q")
    assert (await sides(client, "circuit:p", "one/1")).a.heads == ((0, 0),)

    await client.ask(DeleteCircuit(session="one", name="p"), Done)
    assert (await sides(client, "circuit:p", "one/1")).a.heads == ((0, 2),)
    with pytest.raises(Refusal, match="has no circuit 'p'"):
        await client.ask(DeleteCircuit(session="one", name="p"), Done)
    with pytest.raises(Refusal, match=r"no head 5\.1"):
        await client.ask(SaveCircuit(session="one", run="one/1", name="z", heads=((5, 1),), source="x"), CircuitAnswer)
    with pytest.raises(Refusal, match="not a valid session name"):
        await client.ask(SaveCircuit(session="one", name=" \x1b ", heads=(), source="x"), CircuitAnswer)

    await client.close()
    detail = await lab.detail(await lab.connect(), session.session_id)
    assert detail.session.name == "one"
    again = await lab.connect()
    rows = (await again.ask(ListCircuits(), CircuitsAnswer)).circuits
    assert {(row.session, row.name) for row in rows} == {
        ("one", "q"),
        ("one", "union"),
        ("one", "intersection"),
        ("one", "subtract"),
        ("two", "p"),
    }
    assert other.session_id in {row.session_id for row in rows}


async def test_runs_of_other_sessions_are_offered_by_shape(lab: Any) -> None:
    client = await lab.connect()
    for name, model in (("one", "toy"), ("two", "toy"), ("wide", "heads:2x4")):
        await lab.session(client, model, name=name)
        await lab.finish(client, await lab.again(client, name, seeds=(0,)))
    choices = (await client.ask(ListComparable(run="one/1"), ComparisonChoices)).choices
    assert [choice.title for choice in choices if choice.group == "Runs of other sessions"] == ["two/1"]
    found = await sides(client, "one/1", "wide/1")
    with pytest.raises(HeadcodeError, match=r"2 layers x 3 heads .* wide/1 has 2 layers x 4 heads"):
        compare(found.a, found.b)
