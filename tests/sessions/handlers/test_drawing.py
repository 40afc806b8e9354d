"""Test the drawing of edges: recorded and checked, nodes that behave alike, edges measured one by one."""

from typing import Any

import pytest

from engine.config import EffectsConfig
from engine.events import EdgesPatched
from sessions.errors import Refusal
from sessions.events import DrawingChanged, EffectsEnded, EffectsRequested, NodeGroup
from sessions.protocol import (
    AlikeNodes,
    CodesAnswer,
    Done,
    FindAlike,
    GetCodes,
    MeasureRunEffects,
    ReadTimeline,
    SetDrawing,
    TimelineAnswer,
)


async def test_a_drawing_is_recorded_once_and_marked_in_the_timeline(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    drawing = DrawingChanged(
        weight="exact", least=0.1, pinned=((1, 2), (0, 1)), groups=(NodeGroup(name=" name  movers ", nodes=((0, 1),)),)
    )
    for _ in range(2):
        await client.ask(SetDrawing(run=run.run_id, drawing=drawing), Done)
    await client.ask(SetDrawing(run=run.run_id, drawing=DrawingChanged()), Done)
    entries = await lab.entries(
        client, run.session_id, lambda have: sum(isinstance(e.event, DrawingChanged) for e in have) >= 2
    )
    kept = [entry for entry in entries if isinstance(entry.event, DrawingChanged)]
    assert [entry.run_id for entry in kept] == [run.run_id] * 2
    assert kept[0].event.groups == (NodeGroup(name="name movers", nodes=((0, 1),)),)
    assert kept[0].event.pinned == ((0, 1), (1, 2))
    times = (await client.ask(ReadTimeline(session=run.session_id), TimelineAnswer)).times
    words = [marker.words for marker in times.markers if marker.words.startswith("drawing")]
    assert words == ["drawing of run 1: 24 edges by exact; name movers", "drawing of run 1: 24 edges by codes"]


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        (DrawingChanged(pinned=((90, 1),)), "90.1"),
        (DrawingChanged(least=1.5), "from 1.5 of the strongest"),
        (DrawingChanged(most=0), "0 edges"),
        (DrawingChanged(groups=(NodeGroup(name=" ", nodes=((0, 1),)),)), "not a valid"),
        (DrawingChanged(groups=tuple(NodeGroup(name="a", nodes=((0, n),)) for n in (0, 1))), "Two groups"),
        (DrawingChanged(groups=tuple(NodeGroup(name=n, nodes=((0, 1),)) for n in "ab")), "0.1 is in two groups"),
    ],
)
async def test_an_impossible_drawing_is_refused(drawing: DrawingChanged, words: str, lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    with pytest.raises(Refusal, match=words):
        await client.ask(SetDrawing(run=run.run_id, drawing=drawing), Done)


async def test_nodes_with_the_same_codes_are_found(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    layout = (await lab.detail(client, run.session_id)).runs[0].model_info.layout
    codes = {
        node: (await client.ask(GetCodes(run=run.run_id, layer=node.layer, head=node.head), CodesAnswer)).codes.codes
        for node in layout.ids
    }
    found = (await client.ask(FindAlike(run=run.run_id, nodes=layout.ids), AlikeNodes)).groups
    for group in found:
        assert group.agreement >= 0.4
    equal = [{a, b} for a in codes for b in codes if a < b and codes[a] == codes[b] and len(set(codes[a])) > 1]
    for pair in equal:
        assert any(pair <= set(map(tuple, group.nodes)) for group in found), "two heads with the same codes"
    with pytest.raises(Refusal, match="77"):
        await client.ask(FindAlike(run=run.run_id, nodes=((77, 0),)), AlikeNodes)


async def test_chosen_edges_are_measured_into_the_log(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    exact = EffectsConfig(method="exact")
    edges = (((0, 1), (1, 2)), ((0, 0), (1, 0)))
    await client.ask(MeasureRunEffects(run=run.run_id, config=exact, edges=edges), Done)
    entries = await lab.entries(
        client, run.session_id, lambda have: any(isinstance(e.event, EffectsEnded) for e in have)
    )
    (asked,) = (entry.event for entry in entries if isinstance(entry.event, EffectsRequested))
    assert asked.edges == edges
    (measured,) = (entry.event for entry in entries if isinstance(entry.event, EdgesPatched))
    assert {(edge.source, edge.target) for edge in measured.edges} == set(edges)
    for wrong, config, words in (
        (((1, 2), (0, 1)), exact, "1.2 to 0.1 is no edge"),
        (((0, 1), (9, 9)), exact, "9.9"),
        (edges[0], EffectsConfig(method="combined"), "measured exactly"),
    ):
        with pytest.raises(Refusal, match=words):
            await client.ask(MeasureRunEffects(run=run.run_id, config=config, edges=(wrong,)), Done)
