"""Steering through a real host: measured in parts, recorded once, found again, exported and imported."""

import msgspec
import pytest

from engine.examples import Example
from engine.steering import SteerPlan
from sessions.errors import SessionError
from sessions.events import SteeringRecorded
from sessions.protocol import (
    CheckSteering,
    CircuitAnswer,
    Explained,
    GetExplanation,
    GetSteering,
    ListSteerings,
    ReadTimeline,
    SaveCircuit,
    Steering,
    SteeringsAnswer,
    TimelineAnswer,
)

PLAN = SteerPlan(kind="code", nodes=((0, 1),), code=3, strengths=(-2.0, 2.0), random=2, strength=2.0)


async def test_steering_is_measured_in_parts_recorded_and_found_again(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    found = await client.ask(GetSteering(run=run.run_id, plan=PLAN), Steering)
    result = found.steered.result
    # The answer first, without the curve; then one request a strength.
    asked = [word for word in result.notices if word.startswith("(")]
    assert asked == ["()", "(-2.0,)", "(2.0,)"]
    assert ".safetensors" in result.notices
    assert [(point.strength, point.effect, point.random) for point in result.points] == [
        (-2.0, -2.0, (-1.0, -1.0)),
        (2.0, 2.0, (1.0, 1.0)),
    ]
    assert (result.kl, result.metric, result.prompts, result.seconds, result.passes) == (0.5, "kl", 3, 0.75, 4.5)
    assert found.steered.plan.seed == run.config.seeds[0]
    assert found.at_us is not None
    assert (await lab.detail(client, run.session_id)).last_seq == before + 1
    # The same again is what is recorded; --again measures and records again.
    assert (await client.ask(GetSteering(run=run.run_id, plan=PLAN), Steering)).at_us == found.at_us
    assert (await lab.detail(client, run.session_id)).last_seq == before + 1
    again = await client.ask(GetSteering(run=run.run_id, plan=PLAN, again=True), Steering)
    assert again.at_us != found.at_us
    listed = await client.ask(ListSteerings(run=run.run_id), SteeringsAnswer)
    assert [each.at_us for each in listed.steerings] == [found.at_us, again.at_us]
    assert listed.steerings[0].steered == found.steered
    times = (await client.ask(ReadTimeline(session=run.session_id), TimelineAnswer)).times
    assert "run 1 steered: code 3 of 0.1 times 2 at every token" in [each.words for each in times.markers]


async def test_a_note_is_written_with_the_measurement_or_beside_what_is_recorded(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq

    async def steered(plan: SteerPlan, note: str) -> Steering:
        return await client.ask(GetSteering(run=run.run_id, plan=plan, note=note), Steering)

    assert (await steered(PLAN, "odd\x1b[31m ")).note == "code 3 of 0.1 times 2 at every token: odd[31m"
    detail = await lab.detail(client, run.session_id)
    assert detail.last_seq == before + 2  # the steering and the note, in one step
    assert (await steered(PLAN, "again")).at_us is not None
    both = msgspec.structs.replace(PLAN, kind="off", nodes=((0, 1), (1, 2)), strengths=())
    await steered(both, "two")
    await steered(msgspec.structs.replace(PLAN, kind="contrast", source="stream", nodes=((1, -1),)), "stream")
    notes = (await lab.detail(client, run.session_id)).notes
    assert sorted(
        (each.layer, each.head, each.text.rpartition(": ")[2]) for each in notes if each.layer is not None
    ) == [
        (0, 1, "again"),
        (0, 1, "odd[31m"),
    ]
    assert sorted(each.text.partition(" ")[0] for each in notes if each.layer is None) == ["2", "difference"]
    assert {each.run_id for each in notes} == {run.run_id}
    for text, named in ((" ", "empty"), ("x" * 20_000, "characters")):
        with pytest.raises(SessionError, match=named):
            await steered(msgspec.structs.replace(PLAN, code=4), text)
    assert len((await client.ask(ListSteerings(run=run.run_id), SteeringsAnswer)).steerings) == 3


async def test_what_is_not_to_be_recorded_is_not(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    before = (await lab.detail(client, run.session_id)).last_seq
    found = await client.ask(GetSteering(run=run.run_id, plan=PLAN, record=False), Steering)
    assert found.at_us is None
    assert (await lab.detail(client, run.session_id)).last_seq == before
    assert (await client.ask(ListSteerings(run=run.run_id), SteeringsAnswer)).steerings == ()


async def test_a_circuit_alone_is_the_runs_or_a_saved_one(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    plan = SteerPlan(kind="only", seed=run.config.seeds[-1])
    own = await client.ask(GetSteering(run=run.run_id, plan=plan, circuit="circuit"), Steering)
    assert own.steered.plan.nodes
    assert "mean" in own.steered.result.notices
    saved = SaveCircuit(session=run.session_id, name="mine", heads=((1, 2),), source="by hand", run=run.run_id)
    await client.ask(saved, CircuitAnswer)
    mine = await client.ask(GetSteering(run=run.run_id, plan=plan, circuit="mine"), Steering)
    assert mine.steered.plan.nodes == ((1, 2),)
    assert str(len(run.config.seeds) - 1) in mine.steered.result.notices


@pytest.mark.parametrize(
    ("plan", "circuit", "named"),
    [
        ({"seed": 99}, "", "no seed 99"),
        ({"code": 200}, "", "no code 200"),
        ({"nodes": ((1, -1),)}, "", "heads only"),
        ({"example": 20}, "", "no example 21"),
        ({"nodes": ((7, 0),)}, "", "7.0"),
        ({"kind": "contrast", "source": "stream", "nodes": ((7, -1),)}, "", "no layer 7"),
        ({"kind": "only", "nodes": (), "strengths": ()}, "", "No node"),
        ({"kind": "only", "nodes": (), "strengths": ()}, "nobody", "nobody"),
    ],
)
async def test_what_is_not_there_is_named(plan: dict[str, object], circuit: str, named: str, lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    plan = msgspec.structs.replace(PLAN, **plan)
    for request, answer in (
        (CheckSteering(run=run.run_id, plan=plan, circuit=circuit), SteeringsAnswer),
        (GetSteering(run=run.run_id, plan=plan, circuit=circuit), Steering),
    ):
        with pytest.raises(SessionError, match=named) as refused:
            await client.ask(request, answer)
        assert refused.value.hint


async def test_weights_of_another_machine_are_named_before_anything_is_measured(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    found = await client.ask(GetSteering(run=run.run_id, plan=PLAN), Steering)
    for path in (lab.places.data / "sae").iterdir():
        path.unlink()
    other = msgspec.structs.replace(PLAN, code=4)
    for request, answer in (
        (CheckSteering(run=run.run_id, plan=other), SteeringsAnswer),
        (CheckSteering(run=run.run_id, plan=PLAN, again=True), SteeringsAnswer),
        (GetSteering(run=run.run_id, plan=other), Steering),
        (GetExplanation(run=run.run_id, node="0.1", code=3), Explained),
    ):
        with pytest.raises(SessionError, match="weights of run 1 are not on this machine") as refused:
            await client.ask(request, answer)
        assert refused.value.hint
    # What is recorded needs none, nor does what adds no code.
    assert (await client.ask(GetSteering(run=run.run_id, plan=PLAN), Steering)).steered == found.steered
    off = msgspec.structs.replace(PLAN, kind="off", strengths=())
    assert (await client.ask(CheckSteering(run=run.run_id, plan=off), SteeringsAnswer)).steerings == ()
    assert (await client.ask(GetSteering(run=run.run_id, plan=off), Steering)).at_us is not None


async def test_a_check_measures_nothing_and_finds_what_is_recorded(lab) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    check = CheckSteering(run=run.run_id, plan=PLAN)
    before = (await lab.detail(client, run.session_id)).last_seq
    assert (await client.ask(check, SteeringsAnswer)).steerings == ()
    assert (await lab.detail(client, run.session_id)).last_seq == before
    found = await client.ask(GetSteering(run=run.run_id, plan=PLAN), Steering)
    assert (await client.ask(check, SteeringsAnswer)).steerings == (found,)


def test_a_recorded_event_is_the_same_after_json() -> None:
    plan = msgspec.structs.replace(PLAN, prompts=(Example(prompt="one", polarity="positive"),))
    from engine.steering import SteerResult

    event = SteeringRecorded(plan=plan, result=SteerResult(unit=1.0, prompt="one"))
    assert msgspec.json.decode(msgspec.json.encode(event), type=SteeringRecorded) == event
