"""How a run goes: time left by its own pace, losses seed by seed without colour, moving codes, and the queue."""

import json
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
from textual.geometry import Size

from engine.analysis.run_state import RunSnapshot
from engine.config import EffectsConfig, ProbeConfig
from engine.events import StageProgress, StageStarted, TrainStep
from engine.examples import Example
from engine.results import ModelInfo
from sessions.events import RunEnded, RunQueued, RunStarted
from tui.screens.options import OptionsScreen
from tui.screens.progress import ProgressScreen
from tui.state.run import SessionRun
from tui.state.stage_pace import StagePace
from tui.state.time_left import format_time_left, run_left, slowness, stage_left, stages_of, usual_seconds
from tui.state.workbench_state import WorkbenchState
from tui.widgets.line_chart import draw_curve, value_range
from tui.widgets.progress_strip import ProgressStrip

SIZES = [(160, 48), (80, 24)]


def step(done: int, total: int = 100) -> TrainStep:
    return TrainStep(step=done, total=total, reconstruction=(1.0,), sparsity=(0.1,), moving=(1,))


def test_what_is_left_follows_the_pace_of_the_newest_reports() -> None:
    pace = StagePace().fold(0, StageStarted(stage="capture", total=100, unit="prompts"))
    assert pace.left(100, 500_000) is None
    for second in range(1, 6):
        pace = pace.fold(second * 1_000_000, StageProgress(stage="capture", done=10 * second, total=100))
    assert pace.left(100, 5_000_000) == pytest.approx(5.0)
    assert pace.left(100, 7_000_000) == pytest.approx(3.0)
    # A report that does not come is no end that is near.
    assert pace.left(100, 95_000_000) == pytest.approx(95.0)
    for tick in range(40):  # from now on ten times as fast
        pace = pace.fold(5_000_000 + tick * 10_000, StageProgress(stage="capture", done=50 + tick, total=100))
    assert pace.left(100, 5_390_000) == pytest.approx(0.11, abs=0.02)


def test_what_comes_before_the_first_step_is_no_part_of_the_pace() -> None:
    pace = StagePace().fold(0, StageStarted(stage="train", total=100, unit="steps"))
    pace = pace.fold(60_000_000, step(1))
    assert pace.left(100, 60_000_000) is None
    pace = pace.fold(61_000_000, step(11))
    assert pace.left(100, 61_000_000) == pytest.approx(8.9)
    cause = StagePace().fold(0, StageStarted(stage="cause", total=0, unit="measurements"))
    for second, done in ((60, 1), (61, 9), (62, 17)):  # all heads are attributed before the first is patched
        cause = cause.fold(second * 1_000_000, StageProgress(stage="cause", done=done, total=33))
    assert cause.left(33, 62_000_000) == pytest.approx(2.0)
    # A late word of another stage changes nothing.
    assert pace.fold(62_000_000, StageProgress(stage="capture", done=1, total=2)) == pace


STAGES = ("load", "grade", "capture", "train", "codes", "scores", "cause")
RECORDED = Path(__file__).parents[2] / "engine" / "recorded_timings.json"


def run_of(number: int, seconds: dict[str, float], model: str, **more: Any) -> SessionRun:
    """A run that went through with these seconds a stage; `more` takes that back."""
    named = tuple((stage, seconds[stage]) for stage in STAGES if stage in seconds)
    picture = RunSnapshot(seconds=named, warm=not seconds.get("load"))
    given = {"state": "done", "picture": picture, "config": ProbeConfig(), **more}
    return SessionRun(run_id=str(number), number=number, model=model, queued_us=0, **given)


def test_a_run_on_a_busy_machine_is_told_as_slow_as_it_is() -> None:
    """Runs as they were recorded, and one of them again on a machine that does everything in three times as long."""
    recorded = json.loads(RECORDED.read_text())
    rows = [row for row in recorded["runs"] if row[1] == "smollm2-135m" and row[3] == 20 and row[4]][:5]
    seconds = [dict(zip(STAGES, row[6:], strict=True)) | {"load": 0.0} for row in rows]
    earlier = [run_of(number, each, "smollm2-135m") for number, each in enumerate(seconds)]
    slow = {stage: 3 * median(each[stage] for each in seconds) for stage in STAGES}
    assert slow["train"] > 10
    # Its training is half done: what is left is told by its own pace, and what comes after it by the same.
    over = tuple((stage, slow[stage]) for stage in ("load", "grade", "capture"))
    picture = RunSnapshot(stage="train", stage_total=500, stage_done=250, seconds=over)
    half_us = int(slow["train"] * 1e6 / 2)
    pace = StagePace("train", 0, tuple((half_us * tenth // 10, 25 * tenth) for tenth in range(11)))
    run = run_of(99, slow, "smollm2-135m", state="running", picture=picture, pace=pace)
    after = sum(slow[stage] for stage in stages_of(run) if stage in ("codes", "scores", "cause"))
    left = run_left(run, earlier, half_us)
    assert left == pytest.approx(slow["train"] / 2 + after, rel=0.25)
    # Before its first step: by the earlier runs, as much slower as the run has been so far; then nobody knows.
    begun = run_of(99, slow, "smollm2-135m", state="running", picture=picture, pace=StagePace("train", 0, ((0, 0),)))
    usual = usual_seconds(begun, earlier, "train")
    assert usual == pytest.approx(slow["train"] / 3)
    assert stage_left(begun, earlier, 1_000_000) == pytest.approx(usual * slowness(begun, earlier) - 1)
    assert 1 < slowness(begun, earlier) <= 3
    assert stage_left(begun, earlier, int(usual * 4e6)) is None
    assert run_left(begun, earlier, int(usual * 4e6)) is None


def test_the_time_left_falls_although_the_reports_come_unevenly() -> None:
    seconds = {"grade": 0.0, "capture": 0.1, "train": 10.0, "codes": 0.1, "scores": 0.2}
    earlier = [run_of(number, seconds, "toy") for number in range(3)]
    waits = [0.1, 0.9, 0.2, 1.4, 0.1, 0.1, 0.1, 1.1, 0.6, 0.1] * 2  # of 20 reports; 9.4 s in all
    over = (("load", 0.0), ("grade", 0.0), ("capture", 0.1))
    at_us, marks, output, paced = 0, ((0, 0),), [], []
    for done, wait in enumerate(waits, 1):
        at_us += int(wait * 1e6)
        marks = (*marks, (at_us, done))[-12:]
        picture = RunSnapshot(stage="train", stage_total=20, stage_done=done, seconds=over)
        run = run_of(99, {}, "toy", state="running", picture=picture, pace=StagePace("train", 0, marks))
        output.append(run_left(run, earlier, at_us))
        paced.append(stage_left(run, (), at_us))
    took = sum(waits) + 0.3
    assert all(left == pytest.approx(took - sum(waits[: place + 1]), abs=2) for place, left in enumerate(output))
    # Without earlier runs there is only the pace, which jumps.
    assert max(after - before for before, after in pairwise(output)) < 0.4
    assert max(after - before for before, after in pairwise(paced)) > 2


def test_a_stage_is_told_by_runs_with_other_options_where_there_are_no_others() -> None:
    info = ModelInfo(name="toy", identity="0", n_layers=4, n_heads=8, d_model=96, d_head=12, context=64, vocabulary=700)
    one = run_of(1, {"train": 2.0, "codes": 0.1, "scores": 0.2}, "toy")
    examples = (Example(prompt="a", polarity="positive"),) * 20
    one.picture = msgspec.structs.replace(one.picture, model=info, examples=examples)
    more = ProbeConfig(seeds=tuple(range(6)), cause=EffectsConfig(method="exact"))
    run = run_of(2, {}, "toy", state="running", config=more, picture=RunSnapshot(stage="train", model=info))
    assert usual_seconds(run, [one, run], "train") == pytest.approx(4.0, rel=0.01)
    assert usual_seconds(run, [one, run], "cause") is None
    alike = run_of(3, {"train": 3.0}, "toy", config=more)
    assert usual_seconds(run, [one, alike, run], "train") == 3.0
    assert usual_seconds(run, [run_of(4, {"train": 2.0}, "another"), run], "train") is None


def test_left_in_words() -> None:
    assert [format_time_left(each) for each in (None, 0.2, 3.21, 42, 400)] == [
        "",
        "almost done",
        "3.2 s left",
        "42 s left",
        "7 min left",
    ]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None],
        [1.0],
        [float("inf"), 1.0, float("nan")],
        [0.0, -1.0],
        [1e-9, 1e9],
        [3.0] * 500,
        [None, 2.0, None, 1.0],
    ],
)
def test_any_curve_can_be_drawn(values: list[float | None]) -> None:
    canvas = draw_curve(values, 20, 3, span=value_range([values]))
    cells = [canvas.cell(x, y)[0] for y in range(3) for x in range(20)]
    assert all(cell == " " or "\u2800" <= cell <= "\u28ff" for cell in cells)


def test_a_falling_loss_falls() -> None:
    canvas = draw_curve([4.0, 3.0, 2.0, 1.0], 10, 4, span=(1.0, 4.0, False))
    assert canvas.cell(0, 0)[0] != " "
    assert canvas.cell(9, 3)[0] != " "
    assert canvas.cell(0, 3)[0] == canvas.cell(9, 0)[0] == " "


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_a_run_under_way_is_seen_whole(recorded: Any, open_screen: Any, text_of: Any, size: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(), *recorded.events(until="train"))
    now = host.entries[-1].at_us / 1e6
    async with open_screen(host, size=size, clock=lambda: now) as (app, pilot, until):
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, ProgressScreen))
        shown = text_of(app)
        assert "✓ capture" in shown
        assert "220/500" in shown
        assert " left" in shown
        assert all(f"seed {seed} " in shown for seed in (0, 1, 2))
        assert any("\u2801" <= sign <= "\u28ff" for sign in shown)
        await until(lambda: "still changing in" in text_of(app) or app.screen.pane.virtual_size.height > 20)
        await pilot.press("down")
        await until(lambda: "run 2" in text_of(app))
        assert "running" in text_of(app)
        await host.tell(
            TrainStep(step=400, total=500, reconstruction=(0.5, None, 0.4), sparsity=(0.1, 0.1, 0.1), moving=(0, 0, 0))
        )
        app.screen.pane.scroll_home(animate=False)
        await until(lambda: "400/500" in text_of(app))
        assert "not finite" in text_of(app)


async def test_a_run_that_waits_is_taken_out_of_the_queue(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, ProgressScreen))
        await pilot.press("r")
        await until(lambda: len(host.of_kind("QueueRun")) == 1)
        await host.tell(RunQueued(config=ProbeConfig(seeds=(5,)), model="toy", task="ioi"))
        await until(lambda: "1 queued" in text_of(app))
        await pilot.press("down", "x")
        await until(lambda: host.of_kind("CancelRun"))
        assert host.of_kind("CancelRun")[0].run == "run-2"
        await host.tell(RunEnded(state="stopped"))
        await until(lambda: "queue empty" in text_of(app))
        assert app.state.shown is app.state.runs[0]
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        await pilot.press("escape", "escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_stop_takes_the_run_that_is_looked_at_out_of_the_queue(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, pilot, until):
        await host.tell(RunQueued(config=ProbeConfig(seeds=(5,)), model="toy", task="ioi"))
        await until(lambda: len(app.state.runs) == 2)
        app.state.show_run("run-2")
        await pilot.press("x")
        await until(lambda: host.of_kind("CancelRun"))
        assert [(each.run, each.force) for each in host.of_kind("CancelRun")] == [("run-2", False)]
        app.state.show_run("run-1")
        await pilot.press("x")
        await until(lambda: len(host.of_kind("CancelRun")) == 2)
        assert host.of_kind("CancelRun")[1].run == "run-1"


async def test_the_line_of_a_run_ends_with_its_time(recorded: Any, open_screen: Any) -> None:
    state = WorkbenchState(model="toy", task="ioi")
    seconds = (("load", 17.5), ("capture", 15.5), ("grade", 1.2))
    picture = RunSnapshot(seconds=seconds, stage="train", stage_done=4330, stage_total=5000, stage_unit="steps")
    going = run_of(1, dict.fromkeys(STAGES, 1.0), "toy", state="running", picture=picture, started_us=0)
    async with open_screen(recorded.host()) as (app, _pilot, _until):
        shown = app.screen.query_one(ProgressStrip)
        shown.state, shown.clock = state, lambda: 123.4
        for waiting in (0, 2, 11):
            state.runs = [going, *(msgspec.structs.replace(going, state="queued") for _ in range(waiting))]
            for width in range(72, 201):
                line = shown.lines(Size(width, 3))[0]
                assert line.cell_length <= width
                assert line.text.rstrip().endswith("123.4 s"), (width, waiting, line.text)


async def test_what_cannot_be_stopped_is_told_with_its_run(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, notifications=True) as (app, pilot, until):
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, ProgressScreen))
        await pilot.press("x")
        await until(lambda: "Run 1 is done" in text_of(app))


async def test_the_next_in_turn_is_shown_when_it_begins(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, _pilot, until):
        await host.tell(RunQueued(config=ProbeConfig(), model="toy", task="ioi"))
        await until(lambda: len(app.state.runs) == 2)
        assert app.state.shown.run_id == "run-1"
        host._runs = 1
        await host.tell(RunEnded(state="done"))
        host._runs = 2
        await until(lambda: app.state.runs[0].state == "done")
        await host.tell(RunStarted())
        await until(lambda: app.state.shown.run_id == "run-2")


async def test_of_many_seeds_all_are_drawn(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    config = ProbeConfig(seeds=tuple(range(20)))
    host.add(*recorded.events(until="train", config=config))
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await pilot.press("i")
        await until(lambda: isinstance(app.screen, ProgressScreen))
        pane = app.screen.pane
        output = "\n".join("".join(part.text for part in strip) for strip in pane.lines(pane.room))
        assert all(f"seed {seed} " in output for seed in range(20))
