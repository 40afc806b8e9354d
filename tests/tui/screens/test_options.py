"""The options of the next run on the screen: walked, picked, typed, refused, put back, kept, and used by `r`."""

from typing import Any

import pytest

from engine.config import EffectsConfig, ProbeConfig, SAEConfig
from engine.planning.option_table import OPTIONS
from engine.planning.run_options import RunOptions, value_of
from sessions.events import OptionsChosen, RunEnded, RunQueued
from tui.screens.options import OptionsScreen

SIZES = [(160, 48), (80, 24)]


async def to(pilot: Any, app: Any, path: str) -> OptionsScreen:
    sheet = app.screen
    assert isinstance(sheet, OptionsScreen)
    sheet.list.put(next(place for place, option in enumerate(OPTIONS) if option.path == path))
    await pilot.pause()
    return sheet


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_every_option_is_seen_with_its_meaning(recorded: Any, open_screen: Any, text_of: Any, size: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        for place, option in enumerate(OPTIONS):
            await until(lambda: app.screen.list.at == place)  # noqa: B023
            shown = text_of(app)
            assert option.title in shown
            assert option.flag in shown
            assert option.meaning[:30] in " ".join(shown.replace("│", " ").split()) or option.meaning[:20] in shown
            await pilot.press("down")
        await pilot.press("O")
        await until(lambda: len(app.screen_stack) == 1)


async def test_values_are_picked_typed_refused_and_put_back(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        sheet = await to(pilot, app, "sae.n_codes")
        await pilot.press("right")
        assert app.state.options.config.sae.n_codes == 400
        await pilot.press("left", "left")
        assert app.state.options.config.sae.n_codes == 100
        assert "●" in text_of(app)

        await pilot.press("enter", "ctrl+u", "1")
        assert "n_codes=1" in text_of(app)
        assert "2 to 65536" in text_of(app)
        await pilot.press("enter")
        assert sheet.list.typed == "1"
        assert app.state.options.config.sae.n_codes == 100
        await pilot.press("escape")
        assert isinstance(app.screen, OptionsScreen)
        await pilot.press("enter", "ctrl+u", "7", "q", "backspace", "7", "enter")
        assert app.state.options.config.sae.n_codes == 77
        await pilot.press("d")
        assert app.state.options.config.sae.n_codes == 200

        await to(pilot, app, "seeds")
        await pilot.press("enter", "ctrl+u", *"4,8", "down")
        assert app.state.options.config.seeds == (4, 8)
        assert sheet.list.option.path == "sae.steps"
        await to(pilot, app, "sae.scale")
        await pilot.press("enter")
        assert app.state.options.config.sae.scale is False
        await pilot.press("D")
        assert app.state.options == RunOptions()


async def test_a_recipe_takes_its_own_steps_along_and_presets_are_known(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        await to(pilot, app, "sae.recipe")
        await pilot.press("right")
        assert (app.state.options.config.sae.recipe, app.state.options.config.sae.steps) == ("published", 500)
        assert "▸published" in text_of(app)  # on the bundled model, whose own lambda is the paper's
        await pilot.press("D")
        for name in ("quick", "published", "thorough"):
            await pilot.press("p")
            await until(lambda: f"▸{name}" in text_of(app))  # noqa: B023
        assert len(app.state.options.config.seeds) == 10
        assert app.state.options.config.cause.method == "combined"


async def test_the_next_run_is_done_so_and_a_screen_opened_later_knows(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        await to(pilot, app, "sae.steps")
        await pilot.press("enter", "ctrl+u", *"123", "enter")
        await pilot.press("escape")
        await until(lambda: host.of_kind("ChooseOptions"))
        assert host.of_kind("ChooseOptions")[-1].options.config.sae.steps == 123
        await until(lambda: app.state.own_options is None)
    async with open_screen(host) as (app, pilot, until):
        assert app.state.options.config.sae.steps == 123
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))
        asked = host.of_kind("QueueRun")[0]
        assert (asked.config.sae.steps, asked.model, asked.device) == (123, "toy", "auto")


async def test_v_measures_by_what_was_chosen_about_causes(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await until(lambda: app.state.shown is not None and app.state.shown.state == "done")
        await pilot.press("v")
        await until(lambda: len(host.of_kind("MeasureRunEffects")) == 1)
        assert host.of_kind("MeasureRunEffects")[0].config == EffectsConfig(method="combined")
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        for path, value in (("cause.gradient_steps", "5"), ("cause.metric", None), ("cause.method", None)):
            await to(pilot, app, path)
            await pilot.press(*(("enter", "ctrl+u", *value, "enter") if value else ("right",)))
        chosen = app.state.options.config.cause
        assert (chosen.gradient_steps, chosen.metric, chosen.method) == (5, "logit_difference", "attribution")
        await pilot.press("escape", "v")
        await until(lambda: len(host.of_kind("MeasureRunEffects")) == 2)
        assert host.of_kind("MeasureRunEffects")[1].config == chosen


async def test_trust_is_given_anew_each_time(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        await to(pilot, app, "trust_remote_code")
        await pilot.press("enter")
        assert app.state.options.trust_remote_code is True
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))
        assert host.of_kind("QueueRun")[0].trust_remote_code is True
        assert all(not asked.options.trust_remote_code for asked in host.of_kind("ChooseOptions"))
        await host.tell(RunQueued(config=ProbeConfig(), model="toy", trust_remote_code=True), RunEnded(state="stopped"))
        await until(lambda: len(app.state.runs) == 2)
        assert app.state.options.trust_remote_code is False


async def test_options_chosen_after_a_failure_make_a_run_of_its_own(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"), RunEnded(state="interrupted"))
    async with open_screen(host) as (app, pilot, until):
        assert app.state.can_retry
        await host.tell()
        host.add_of_session(OptionsChosen(options=RunOptions(config=ProbeConfig(sae=SAEConfig(steps=9)))))
        await until(lambda: app.state.session.options_are_new)
        assert not app.state.can_retry
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))
        assert host.of_kind("QueueRun")[0].again is None
        assert value_of(app.state.options, "sae.steps") == 9


async def test_r_beside_a_run_queues_another_and_the_screen_stays(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, pilot, until):
        cursor = app.state.cursor
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))
        await host.tell(RunQueued(config=ProbeConfig(seeds=(1,)), model="toy", task="ioi"))
        await until(lambda: len(app.state.runs) == 2)
        assert app.state.shown is app.state.runs[0]
        assert app.state.cursor == cursor
        assert [run.number for run in app.state.waiting] == [2]
        assert "1 run waits" in text_of(app)
        # x stops the one under way, not the one that waits.
        await pilot.press("x")
        await until(lambda: host.of_kind("CancelRun"))
        assert host.of_kind("CancelRun")[0].run == "run-1"


async def test_what_the_run_will_take_is_said_before_it_is_begun(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(80, 24)) as (app, pilot, until):
        await until(lambda: app.state.preflight is not None)
        await pilot.press("O")
        await until(lambda: "fits: needs 500 MB" in text_of(app) and "by 3 earlier runs" in text_of(app))
        await to(pilot, app, "sae.n_codes")
        await pilot.press("enter", "ctrl+u", *"60000", "enter")
        await until(lambda: "does not fit: 89.6 GB more are needed" in text_of(app).replace("\n", " "))
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)
        await pilot.press("r")
        await pilot.pause()
        assert not host.of_kind("QueueRun")  # said first; asked for once more, it is done
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))


@pytest.mark.parametrize(("way", "sheet"), [("O", "OptionsScreen"), ("i", "ProgressScreen"), ("w", "WriteScreen")])
async def test_from_every_sheet_what_does_not_fit_is_asked_for_twice(
    way: str, sheet: str, recorded: Any, open_screen: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.add(OptionsChosen(options=RunOptions(model="toy", config=ProbeConfig(sae=SAEConfig(n_codes=60_000)))))
    async with open_screen(host) as (app, pilot, until):
        await until(lambda: app.state.preflight is not None and app.state.preflight.fits is False)
        await pilot.press(way)
        await until(lambda: type(app.screen).__name__ == sheet)
        await pilot.press("r")
        await until(lambda: app.state.warned is not None)
        await pilot.pause()
        assert not host.of_kind("QueueRun")
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))


async def test_the_plan_of_a_split_model_is_by_device(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.add(OptionsChosen(options=RunOptions(model="toy", device_map='{"": "disk"}')))
    async with open_screen(host) as (app, pilot, until):
        await until(lambda: app.state.preflight is not None and app.state.preflight.devices)
        await pilot.press("O")
        await until(lambda: isinstance(app.screen, OptionsScreen))
        shown = text_of(app)
        assert "fits: cpu needs 2.0 GB of 20.0 GB, disk needs 1.0 GB" in shown
        assert "cpu: weights 1.0 GB  disk: weights 1.0 GB" in shown
