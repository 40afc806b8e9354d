"""Test effects measured after a run: recorded, stored in tables, stopped, and closed after a crash."""

from typing import Any

import pytest

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import EffectsConfig
from engine.events import EffectsMeasured
from sessions.errors import Refusal
from sessions.events import EffectsEnded, EffectsRequested, LogEntry, VerificationRequested
from sessions.handlers.effects import end_open_measurements
from sessions.handlers.verification import end_open_verifications
from sessions.protocol import CancelRun, Done, MeasureRunEffects
from sessions.rows import RunRow
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder, rebuild

EXACT = EffectsConfig(method="exact")


async def measured(lab: Any, client: Any, run: RunRow) -> list[LogEntry]:
    def over(have: list[LogEntry]) -> bool:
        return any(isinstance(entry.event, EffectsEnded) for entry in have)

    found: list[LogEntry] = await lab.entries(client, run.session_id, over)
    return found


async def test_effects_come_into_the_log_of_the_run_and_into_its_picture(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    await client.ask(MeasureRunEffects(run=run.run_id, config=EXACT), Done)
    entries = await measured(lab, client, run)
    kinds = [type(entry.event) for entry in entries if entry.run_id == run.run_id]
    places = [kinds.index(kind) for kind in (EffectsRequested, EffectsMeasured, EffectsEnded)]
    assert places == sorted(places)
    assert entries[-1].event == EffectsEnded(state="done")
    picture = RunSnapshot()
    for entry in entries:
        picture = fold_event(picture, entry.event)  # type: ignore[arg-type]  # what it has nothing to show for it leaves
    assert [node.exact_effect for node in picture.nodes[:3]] == [0.0, 0.125, 0.25]
    assert (await lab.detail(client, run.session_id)).runs[0].state == "done"


async def test_a_shortlist_and_the_tables(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    await client.ask(MeasureRunEffects(run=run.run_id, config=EXACT, heads=((1, 2), (0, 1))), Done)
    await measured(lab, client, run)
    await lab.close()
    store = Store.open(lab.places.store)
    sql = "SELECT layer, head, effect, base, final FROM cause ORDER BY layer, head"
    rows = store.rows(sql)
    assert rows == [(0, 1, -0.5, 4.0, True), (1, 2, -1.0, 4.0, True)]
    rebuild(store)
    assert store.rows(sql) == rows
    store.close()


async def test_stopped_it_keeps_what_is_measured_and_can_be_asked_again(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    await client.ask(MeasureRunEffects(run=run.run_id, config=EffectsConfig(method="exact", metric="kl")), Done)
    await lab.entries(client, run.session_id, lambda have: any(isinstance(e.event, EffectsMeasured) for e in have))
    with pytest.raises(Refusal, match="already"):
        await client.ask(MeasureRunEffects(run=run.run_id, config=EXACT), Done)
    await client.ask(CancelRun(run=run.run_id), Done)
    entries = await measured(lab, client, run)
    assert entries[-1].event == EffectsEnded(state="stopped")
    partial = next(entry.event for entry in entries if isinstance(entry.event, EffectsMeasured))
    assert not partial.final
    assert len(partial.effects) == 1
    await client.ask(MeasureRunEffects(run=run.run_id, config=EXACT), Done)


async def test_only_a_run_that_is_done_is_measured_and_only_heads_it_has(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client, "broken")
    await lab.finish(client, run)
    with pytest.raises(Refusal, match="is failed"):
        await client.ask(MeasureRunEffects(run=run.run_id, config=EXACT), Done)
    good = await lab.queue(client)
    await lab.finish(client, good)
    with pytest.raises(Refusal, match=r"9\.0"):
        await client.ask(MeasureRunEffects(run=good.run_id, config=EXACT, heads=((9, 0),)), Done)
    with pytest.raises(Refusal, match="No method"):
        await client.ask(MeasureRunEffects(run=good.run_id, config=EffectsConfig()), Done)


async def test_a_measurement_its_host_left_behind_is_closed_by_the_next(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    await lab.close()
    store = Store.open(lab.places.store)
    recorder = Recorder(store)
    recorder.append([EventDraft(session_id=run.session_id, run_id=run.run_id, event=EffectsRequested(config=EXACT))])
    assert end_open_measurements(recorder) == 1
    assert end_open_measurements(recorder) == 0
    store.close()


async def test_a_verification_its_host_left_behind_is_closed_by_the_next(lab: Any) -> None:
    client = await lab.connect()
    run = await lab.queue(client)
    await lab.finish(client, run)
    await lab.close()
    store = Store.open(lab.places.store)
    recorder = Recorder(store)
    recorder.append([EventDraft(session_id=run.session_id, run_id=run.run_id, event=VerificationRequested())])
    assert end_open_verifications(recorder) == 1
    assert end_open_verifications(recorder) == 0
    store.close()
