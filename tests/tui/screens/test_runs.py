"""The runs side by side: what their cards say, and that another run than the newest can be looked at."""

from typing import Any

import pytest

from engine.config import DEFAULTS, ProbeConfig, SAEConfig
from sessions.events import NoteWritten, RunLabelled
from tui.screens.runs import RunsScreen


def two_runs(recorded: Any) -> Any:
    host = recorded.host()
    host.add(*recorded.events())
    host.add(*recorded.events(config=ProbeConfig(sae=SAEConfig(n_codes=50, sparsity=0.02))))
    return host


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
@pytest.mark.parametrize("depth", ["full", "none"])
async def test_the_runs_and_their_keys(
    size: tuple[int, int], depth: str, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(two_runs(recorded), size=size, depth=depth) as (app, pilot, until):
        newest = app.state.shown
        assert newest.number == 2
        await pilot.press("R")
        await until(lambda: isinstance(app.screen, RunsScreen) and "run 2" in text_of(app))
        assert "50 codes" in text_of(app)
        assert ("▀" if depth == "full" else "█") in text_of(app)
        await pilot.press("right", "right", "left", "right")
        assert app.screen.cards.chosen == 1
        before = app.state.measure
        await pilot.press("m")
        assert app.state.measure is not before
        await pilot.press("M", "enter")
        await until(lambda: len(app.screen_stack) == 1)
        assert app.state.shown.number == 1
        assert "run 1" in text_of(app)
        await pilot.press("R", "n")
        await until(lambda: len(app.screen_stack) == 1 and app.state.shown is newest)


async def test_a_run_is_named_and_the_preview_says_what_differs(recorded: Any, open_screen: Any, text_of: Any) -> None:
    """The preview of the run at the cursor: its name, settings, what differs from the run before, best nodes, notes."""
    host = two_runs(recorded)
    async with open_screen(host, size=(160, 48)) as (app, pilot, until):
        await pilot.press("R")
        await until(lambda: isinstance(app.screen, RunsScreen) and "run 2" in text_of(app))
        text = text_of(app)
        best = ", ".join(f"{node} " for node in app.state.view().order[:1])
        assert f"{app.state.measure.title}: {best}" in text
        differs = next(line for line in text.splitlines() if "from run 1: " in line)
        assert "200 -> 50" in differs
        assert "-> 0.02" in differs
        assert "10+10" in text
        run = app.state.runs[1]
        await pilot.press("r")
        await until(lambda: "Name of run 2" in text_of(app))
        await pilot.press(*"quiet", "enter")
        await until(lambda: host.of_kind("LabelRun"))
        assert (host.of_kind("LabelRun")[0].run, host.of_kind("LabelRun")[0].name) == (run.run_id, "quiet")
        await host.tell(RunLabelled(name="quiet", tags=("old",)), NoteWritten(note_id="n1", text="[b]mine[/b]"))
        await until(lambda: "called    quiet #old" in text_of(app) and "[b]mine[/b]" in text_of(app))
        await pilot.press("t")
        await until(lambda: "Tags of run 2" in text_of(app))
        await pilot.press("ctrl+u", *"new", "enter")
        await until(lambda: len(host.of_kind("LabelRun")) == 2)
        assert (host.of_kind("LabelRun")[1].add, host.of_kind("LabelRun")[1].remove) == (("new",), ("old",))
        await pilot.press("right")
        await until(lambda: "from run 1" not in text_of(app))
        await pilot.press("escape")
        await until(lambda: "· run 2 quiet" in text_of(app) and "run 2 quiet ✎" in text_of(app))


async def test_a_new_run_is_shown_when_it_comes(recorded: Any, open_screen: Any) -> None:
    host = two_runs(recorded)
    async with open_screen(host) as (app, _pilot, until):
        app.state.show_run(app.state.runs[0].run_id)
        assert app.state.shown.number == 1
        await host.tell(*recorded.events(until="train"))
        await until(lambda: app.state.shown.number == 3)
        assert app.state.active is app.state.shown


async def test_a_run_under_way_can_be_stopped_while_another_is_looked_at(recorded: Any, open_screen: Any) -> None:
    host = two_runs(recorded)
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, pilot, until):
        running = app.state.active
        app.state.show_run(app.state.runs[0].run_id)
        app.screen.drawing.now()
        await pilot.press("x")
        await until(lambda: host.of_kind("CancelRun"))
        assert host.of_kind("CancelRun")[0].run == running.run_id


async def test_each_run_says_its_recipe_and_what_was_changed(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    own = ProbeConfig(nodes="all", sae=SAEConfig(recipe="published", steps=77, training_examples=10), seeds=(4, 8))
    host.add(*recorded.events(config=DEFAULTS), *recorded.events(config=own))
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("R")
        await until(lambda: len(app.screen_stack) == 2)
        shown = text_of(app)
        assert "contrast  lambda own" in shown
        assert "all other options default" in shown
        assert "published  lambda own" in shown
        assert "seeds 4,8, steps 77" in shown


async def test_the_runs_and_the_workbench_show_the_same_seconds(recorded: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(two_runs(recorded)) as (app, pilot, until):
        run = app.state.shown
        seconds = (run.ended_us - run.started_us) / 1e6
        assert abs(seconds - run.picture.finished.timings.total) > 0.1, "the engine's own sum is another number"
        await until(lambda: f"{seconds:.1f} s in all" in text_of(app))
        await pilot.press("R")
        await until(lambda: isinstance(app.screen, RunsScreen) and f"  {seconds:.1f} s" in text_of(app))
        await pilot.press("escape", "i")
        await until(lambda: f"in {seconds:.1f} s" in text_of(app))
