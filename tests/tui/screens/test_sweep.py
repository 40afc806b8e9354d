"""Sweeps as tables: cells and their states, axes, curves, births, the film, and the way to a run and back."""

import statistics
from pathlib import Path
from typing import Any

import pytest

from sessions.protocol import FollowSweep, GetSweep
from tui.screens.sweep import SweepScreen
from tui.screens.sweeps import SweepsScreen

SIZES = [(160, 48), (80, 24)]


async def opened(pilot: Any, until: Any, app: Any) -> Any:
    await pilot.press("W")
    await until(lambda: isinstance(app.screen, SweepsScreen) and app.screen.list.rows)
    await pilot.press("enter")
    await until(lambda: isinstance(app.screen, SweepScreen) and app.screen.sweep.progress is not None)
    sweep = app.screen.sweep
    await until(lambda: sweep.table.at_cursor is not None and sweep.table.at_cursor.found is not None)
    return sweep


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
@pytest.mark.parametrize("depth", ["full", "none"])
async def test_every_unit_is_a_cell(
    size: tuple[int, int], depth: str, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(recorded.host(), size=size, depth=depth) as (app, pilot, until):
        await opened(pilot, until, app)
        text = text_of(app)
        assert "checkpoint →" in text
        assert "draw ↓" in text
        assert "AUC" in text
        (row,) = (line for line in text.splitlines() if line.strip("│ ").startswith("2 "))
        # The sixth checkpoint has AUC .90; the seventh unit failed, the last is under way.
        assert [each for each in row.strip("│ ").split() if each not in "░▒▓█"][-3:] == [".90", "✗", "▸"] or "✗" in row
        assert "22 of 24 done" in text
        assert "1 failed" in text
        assert "No memory left for births." in text
        assert "worker 1" in text
        assert "3.0 s left" in text or "about 3" in text


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_the_sweep_at_the_cursor_is_previewed(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("W")
        await until(lambda: "all with  task addition" in text_of(app))
        text = text_of(app)
        assert "checkpoint 0, 100, 200, 400, …, 1200 (8) · draw 0, 1, 2" in text
        assert "22 done · 1 failed · 1 running · runs on local 3.0 s left · 1.5" in text
        # Of steps 0 to 1200 with three draws, the failed and the running one left out: .5 + step / 2000, at most 1.
        measured = [min(1.0, 0.5 + step / 2000) for step in (0, 100, 200, 400, 600, 800, 1000, 1200) for _ in range(3)]
        measured = sorted(measured)[:-1]  # the last unit runs
        measured.remove(1.0)  # a draw of step 1000 failed
        middle = f"{statistics.median(measured):.2f}".lstrip("0")
        assert f"AUC {middle} (median), best 1.00 at checkpoint 1000, draw 0" in text
        assert "1 x No memory left for births." in text
        asked = len(host.of_kind("GetSweep"))
        await pilot.pause(2.5)  # the list is read again, and has not changed
        assert len(host.of_kind("GetSweep")) == asked


async def test_measures_nodes_and_axes_are_chosen(recorded: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(recorded.host()) as (app, pilot, until):
        sweep = await opened(pilot, until, app)
        await pilot.press("m")
        await until(lambda: sweep.table.at_cursor.value is not None)
        assert sweep.table.node == "m0"
        assert sweep.table.at_cursor.value == pytest.approx(0.1)
        await pilot.press("n")
        await until(lambda: "total variation of 0.0" in text_of(app))
        await pilot.press("m", "m")
        assert sweep.table.measure.kind == "jaccard"
        assert sweep.table.at_cursor.value is None  # nothing is to the left of the first cell
        await pilot.press("right", "right", "right", "right")
        # At step 600 the circuit is another: 0.0 m0 in place of 1.0 m0.
        assert sweep.table.at_cursor.value == pytest.approx(1 / 3)
        await pilot.press("a")
        assert (sweep.table.columns, sweep.table.rows) == ("draw", "checkpoint")
        await pilot.press("A")
        assert (sweep.table.columns, sweep.table.rows) == ("checkpoint", "draw")


async def test_a_table_follows_the_sweep(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        await opened(pilot, until, app)
        host.sweep.done.add((1200, 2))
        host.sweep.news, host.sweep.active = 2, False
        host.sweep.told.set()
        await until(lambda: "23 of 24 done" in text_of(app))
        assert "worker 1" not in text_of(app)
        await pilot.press("escape")
        await until(lambda: isinstance(app.screen, SweepsScreen) and "23 done" in text_of(app))  # in the preview
        asked = len([each for each in host.asked if isinstance(each, GetSweep)])
        host.sweep.news = 3
        host.sweep.told.set()
        await pilot.pause(0.5)
        assert len([each for each in host.asked if isinstance(each, GetSweep)]) == asked
        assert any(isinstance(each, FollowSweep) for each in host.asked)


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_curves_births_and_film(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_screen(recorded.host(), size=size) as (app, pilot, until):
        sweep = await opened(pilot, until, app)
        await pilot.press("c")
        await until(lambda: "along checkpoint, mean over draws" in text_of(app))
        assert "⣀" in text_of(app) or "⠤" in text_of(app) or "⠒" in text_of(app)
        await pilot.press("y")
        await until(lambda: (tmp_path / "births-auc.svg").exists())
        await pilot.press("c", "b")
        await until(lambda: "steps later" in text_of(app))
        (line,) = (line for line in text_of(app).splitlines() if line.strip("│ ").startswith("0.1 "))
        assert "earlier" in line  # it comes at 700, when pairs could be done at 600
        await pilot.press("y")
        await until(lambda: (tmp_path / "births-births.svg").exists())
        assert "pairs it can do" in (tmp_path / "births-births.svg").read_text()
        await pilot.press("b", "f")
        await until(lambda: "8 of 8" in text_of(app))
        await pilot.press("left", "home")
        await until(lambda: "1 of 8" in text_of(app))
        assert "total variation  at 0" in text_of(app)
        await pilot.press("space")
        await until(lambda: sweep.playing and sweep.frame > 0)
        await pilot.press("escape")
        await until(lambda: sweep.page == "grid")
        assert not sweep.playing


async def test_failed_units_are_tried_again_and_a_sweep_is_stopped(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    async with open_screen(host) as (app, pilot, until):
        await opened(pilot, until, app)
        await pilot.press("i")
        await until(lambda: "worker 1" in text_of(app) and "✗ 1" in text_of(app))
        await pilot.press("r")
        await until(lambda: host.sweep.retried == 1 and "Started again." in text_of(app))
        await pilot.press("x")
        await until(lambda: host.sweep.cancelled == 1 and "Stopped; finished units stay." in text_of(app))


async def test_a_cell_opens_its_run_and_back_leads_to_the_cell(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(), *recorded.events())
    host.sweep.known = {(100, 0): "run-1", (200, 0): "run-2"}
    async with open_screen(host) as (app, pilot, until):
        sweep = await opened(pilot, until, app)
        assert app.state.shown.run_id == "run-2"
        await pilot.press("right", "enter")
        await until(lambda: len(app.screen_stack) == 1 and app.state.shown.run_id == "run-1")
        await pilot.press("W")
        await until(lambda: isinstance(app.screen, SweepScreen))
        assert app.screen.sweep is sweep
        assert (sweep.table.row, sweep.table.column) == (0, 1)
        await pilot.press("escape", "escape")
        await until(lambda: len(app.screen_stack) == 1)
        await pilot.press("W")
        await until(lambda: isinstance(app.screen, SweepsScreen))
