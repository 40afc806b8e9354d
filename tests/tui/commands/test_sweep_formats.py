"""`headcode sweep plot` and `births`, text and JSON, over planted runs: what every line must say is computed here."""

import asyncio
import itertools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from engine.config import ProbeConfig
from engine.events import EffectsMeasured, EffectsPart, ExamplesMade, Graded, ProbeFinished
from engine.examples import Example, Polarity, content_hash
from engine.machine.folders import find_folders
from engine.planning.run_options import RunOptions
from engine.results import ExampleCount, Grade, NodeEffect, Timings
from engine.sweeps.plan import ExampleSource, PlannedUnit, SweepPlan
from sessions.client.connection import stop_host
from sessions.events import RunEnded, RunQueued, RunStarted
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder
from sessions.sweeps.records import record_plan

STEPS = (0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2500, 3000)
BASE = 4.0
PAIRS = 4
LEARNT = (500, 750, 1000, 1250)
"""The step at which each pair can be done."""
SIDES: tuple[Polarity, Polarity] = ("positive", "negative")


def logistic(step: int, middle: int, width: float) -> float:
    return 1 / (1 + math.exp(-(math.log(step + 1) - math.log(middle + 1)) / width))


def shares(step: int) -> dict[str, float]:
    """Each node's effect as a share of the answer: it makes the answer weaker, so the effect is below 0."""
    return {"0.0": 0.1, "0.1": 0.9 * logistic(step, 900, 0.2), "m0": 0.8 - 0.6 * logistic(step, 1600, 0.15)}


def circuit(step: int) -> tuple[tuple[int, int], ...]:
    return ((0, 0), (0, 1)) if step >= 1000 else ((0, 0),)


def done(step: int) -> float:
    return sum(step >= each for each in LEARNT) / PAIRS


@pytest.fixture
def sweep(headcode: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The command line, with a store of one sweep over checkpoints, two draws with the same curves."""
    places = find_folders()
    places.store.parent.mkdir(parents=True, exist_ok=True)
    store = Store.open(places.store)
    plant(Recorder(store))
    store.close()
    yield lambda *words: headcode("sweep", *words)
    asyncio.run(stop_host(places))


def plant(recorder: Recorder) -> None:
    units = tuple(
        PlannedUnit(
            key=f"{draw}{step:05}",
            labels=(("model", "toy"), ("checkpoint", str(step)), ("draw", str(draw))),
            model=f"toy@{step}",
        )
        for step in STEPS
        for draw in range(2)
    )
    source = ExampleSource(label="ioi", task="ioi")
    recorded = record_plan(recorder, SweepPlan(name="grown", sources=(source,), options=(RunOptions(),), units=units))
    for stored in recorded[0].units:
        own = dict(stored.unit.labels)
        step, draw = int(own["checkpoint"]), own["draw"]
        examples = tuple(
            Example(prompt=f"{draw} {pair} {side}", polarity=side, expected=("a",), pair=pair)
            for pair in range(PAIRS)
            for side in SIDES
        )
        grades = tuple(
            Grade(
                index=index,
                verdict="ok" if step >= LEARNT[index // 2] else "broken",
                reason="",
                n_tokens=3,
                rank=1,
            )
            for index in range(2 * PAIRS)
        )
        values = [-BASE * share for share in shares(step).values()]
        effects = tuple(
            NodeEffect(layer=0, head=head, effect=value) for head, value in zip((0, 1, -1), values, strict=True)
        )
        part = EffectsPart(n_examples=1, base=BASE, effects=tuple(values))
        events = (
            RunQueued(config=ProbeConfig(), model=stored.unit.model, task="ioi", unit=stored.unit.key),
            RunStarted(),
            ExamplesMade(examples=examples, content_hash=content_hash(examples)),
            Graded(grades=grades),
            EffectsMeasured(
                method="exact", metric="logit_difference", replacement="pair", base=BASE, n_examples=PAIRS,
                position="last", effects=effects, passes=1.0, final=True, parts=(part,) * PAIRS,
            ),
            ProbeFinished(
                examples=ExampleCount(positive=PAIRS, negative=PAIRS, broken=0),
                circuit=circuit(step),
                circuit_softmax=(),
                timings=Timings(),
                cached=False,
            ),
            RunEnded(state="done"),
        )  # fmt: skip
        run_id = f"r{stored.unit.key}"
        recorder.append([EventDraft(session_id=stored.session_id, run_id=run_id, event=each) for each in events])


def test_births_say_what_was_planted_as_json_and_as_text(sweep: Callable[..., Any]) -> None:
    found = json.loads(sweep("births", "grown", "--json").out)
    assert (found["schema"], found["name"], found["units"], found["done"]) == ("headcode.sweep/1", "grown", 22, 22)
    (table,) = found["births"]
    assert list(table) == [
        *("labels", "measure", "steps", "draws", "same_examples", "metrics", "held_out_after_trained"),
        *("nodes", "circuits"),
    ]
    assert table["labels"] == {"model": "toy"}
    assert (table["measure"], table["steps"], table["draws"]) == ("exact_effect", list(STEPS), 2)
    assert (table["same_examples"], table["held_out_after_trained"]) == (True, None)
    metrics = {each["name"]: each for each in table["metrics"]}
    assert list(metrics) == ["accuracy", "answer"]
    assert metrics["accuracy"]["mean"] == [done(step) for step in STEPS]
    assert metrics["answer"]["values"] == [[1.0] * len(STEPS)] * 2
    assert metrics["answer"]["transition"]["verdict"] == "none"
    assert [each["node"] for each in table["nodes"]] == ["0.1", "m0", "0.0"]  # rises, falls, no transition
    for each in table["nodes"]:
        expected = [shares(step)[each["node"]] for step in STEPS]
        assert each["mean"] == pytest.approx(expected)
        assert each["values"] == [pytest.approx(expected)] * 2
    rise, fall, flat = (each["transition"] for each in table["nodes"])
    for transition, middle, before, after in ((rise, 900, 0.0, 0.9), (fall, 1600, 0.8, 0.2)):
        assert transition["verdict"] == "transition"
        assert transition["midpoint"] == pytest.approx(middle, rel=0.005)
        assert transition["earliest"] == pytest.approx(middle, rel=0.005)  # nothing varies: the interval is a point
        assert transition["latest"] == pytest.approx(middle, rel=0.005)
        assert transition["before"] == pytest.approx(before, abs=0.01)
        assert transition["after"] == pytest.approx(after, abs=0.01)
        assert not transition["unfinished"]
        assert "resampled" not in transition
    assert flat == dict.fromkeys(flat, None) | {"verdict": "none", "unfinished": False, "better_by": flat["better_by"]}
    circuits = {each["step"]: each for each in table["circuits"]}
    assert circuits[0] == {"step": 0, "size": 1.0, "with_previous": None, "with_last": 0.5, "between_draws": 1.0}
    assert circuits[1000] == {"step": 1000, "size": 2.0, "with_previous": 0.5, "with_last": 1.0, "between_draws": 1.0}

    series, *text = sweep("births", "grown").out.splitlines()
    assert series == "model toy"
    behaviour = metrics["accuracy"]["transition"]

    def whole(number: float) -> str:
        return f"{round(number):,}"

    def when(transition: dict[str, Any], verb: str) -> str:
        numbers = [whole(transition[name]) for name in ("midpoint", "earliest", "latest")]
        return "{} at step {} ({} to {})".format(verb, *numbers)

    gap = behaviour["midpoint"] - rise["midpoint"]
    order = {node["node"]: node["steps_before"] for node in table["nodes"]}
    assert order["0.1"]["steps"] == pytest.approx(gap)
    assert order["0.0"] is None
    assert text[:4] == [
        "grown: exact effect (share of the answer), 11 checkpoints, 2 draws",
        f"  pairs it can do: {when(behaviour, 'came')}",
        "  answer: no transition: a straight line fits as well",
        f"  0.1  {table['nodes'][0]['words']}",
    ]
    assert text[3].startswith(f"  0.1  {when(rise, 'came')}")
    late = fall["midpoint"] - behaviour["midpoint"]
    assert text[4] == f"  m0   {when(fall, 'went')}, {whole(late)} steps after the model could do the task"
    assert text[5] == "  0.0  no transition: a straight line fits as well"
    rows = [line.split() for line in text[7:]]
    assert rows[0] == ["0", "0.00", "1", "-", "0.50", "1.00"]
    for (before, step), row in zip(itertools.pairwise(STEPS), rows[1:], strict=True):
        here, there = set(circuit(step)), set(circuit(before))
        jaccards = [len(here & there) / len(here | there), len(here) / 2, 1.0]
        assert row == [f"{step:,}", f"{done(step):.2f}", str(len(here)), *(f"{each:.2f}" for each in jaccards)]


def test_a_plot_has_the_planted_curves_in_json_svg_and_braille(sweep: Callable[..., Any], tmp_path: Any) -> None:
    words = ("plot", "grown", "--measure", "exact_effect", "--node", "0.1,m0")
    found = json.loads(sweep(*words, "--json").out)
    assert list(found) == ["schema", "sweep", "measure", "title", "axis", "labels", "places", "curves", "left_out"]
    assert (found["schema"], found["axis"], found["left_out"]) == ("headcode.sweep/1", "checkpoint", 0)
    assert found["labels"] == [str(step) for step in STEPS]
    assert found["places"] == pytest.approx([step / 3000 for step in STEPS])
    planted = {node: [shares(step)[node] for step in STEPS] for node in ("0.1", "m0")}
    assert [each["name"] for each in found["curves"]] == list(planted)
    for each in found["curves"]:
        for name in ("values", "low", "high"):
            assert each[name] == pytest.approx(planted[each["name"]])

    goal = tmp_path / "curves.svg"
    assert sweep(*words, str(goal)).code == 0
    picture = ElementTree.parse(goal).getroot()  # ours
    dots = [
        (float(each.get("cx", 0)), float(each.get("cy", 0))) for each in picture.iter() if each.tag.endswith("circle")
    ]
    # The axis is from 64 to 684 across, the scale from 1 at 56 to 0 at 356.
    expected = [
        (64 + 620 * step / 3000, 356 - 300 * share)
        for values in planted.values()
        for step, share in zip(STEPS, values, strict=True)
    ]
    assert dots == [pytest.approx(each, abs=0.06) for each in expected]
    texts = [each.text for each in picture.iter() if each.tag.endswith("text")]
    assert {"grown: exact effect", "0.1", "m0", "checkpoint", "0", "3000", ".50"} <= set(texts)

    lines = sweep("plot", "grown", "--measure", "exact_effect", "--node", "0.1").out.splitlines()
    assert lines[0] == "grown: exact effect"
    drawn = [line.partition("│")[2] for line in lines if "│" in line]
    width = len(next(line for line in lines if "└" in line).partition("└")[2])
    below = lines[len(drawn) + 2]
    assert below.split()[0] == "0"
    assert below.split()[-1] == "3000"
    assert lines[-1] == " 0.1"
    for step, share in zip(STEPS, planted["0.1"], strict=True):
        x, y = round(step / 3000 * (2 * width - 1)), round((1 - share) * (4 * len(drawn) - 1))
        cell = drawn[y // 4].ljust(width)[x // 2]
        bit = ((0, 3), (1, 4), (2, 5), (6, 7))[y % 4][x % 2]
        assert ord(cell) - 0x2800 >> bit & 1, f"no dot at step {step}"
    # Nothing is drawn where the curve is not: the upper left and the lower right are empty.
    assert not drawn[0][: width // 8].strip("\u2800 ")
    assert not drawn[-1].ljust(width)[width // 2 :].strip("\u2800 ")
