"""What the last check of a model found, on the lines that name the model; and the key that checks it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.catalog.check_report import ModelCheck, ModelCheckReport, installed_versions, store_report, stored_report
from engine.catalog.local_models import bundled_folder
from engine.machine.folders import find_folders
from engine.planning.option_table import OPTIONS
from engine.planning.run_options import RunOptions
from sessions.events import OptionsChosen
from tui.plain.wording import status
from tui.screens.options import OptionsScreen

_IDENTITY = "a1" * 32
"""Of the model in the recorded runs."""
SIZES = [(160, 48), (80, 24)]


def report(**changes: Any) -> ModelCheckReport:
    made = ModelCheckReport(
        model="toy",
        identity=_IDENTITY,
        device="cpu",
        dtype="bfloat16",
        versions=installed_versions(),
        date="2026-11-30T12:00:00Z",
        seconds=3.0,
        checks=(ModelCheck(name="sum of heads", verdict="holds", reason="They add up."),),
    )
    return msgspec.structs.replace(made, **changes)


async def at_model(pilot: Any, app: Any, until: Any) -> OptionsScreen:
    await pilot.press("O")
    await until(lambda: isinstance(app.screen, OptionsScreen))
    sheet: OptionsScreen = app.screen
    sheet.list.put(next(place for place, option in enumerate(OPTIONS) if option.kind == "model"))
    await pilot.pause()
    return sheet


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
@pytest.mark.parametrize(
    ("changes", "words", "short"),
    [
        ({}, "checked: holds", "check holds"),
        (
            {"checks": (ModelCheck(name="sum of heads", verdict="fails", reason="They do not."),)},
            "checked: 1 does not hold",
            "1 check fails",
        ),
        ({"versions": {"torch": "1.0"}}, "checked with older versions", "check outdated"),
    ],
    ids=["holds", "fails", "older"],
)
async def test_the_result_is_on_the_lines_that_name_the_model(
    recorded: Any, open_screen: Any, text_of: Any, size: Any, changes: Any, words: str, short: str
) -> None:
    store_report(report(**changes), bundled_folder(), find_folders().models)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        if size[0] > 80:  # a small terminal has no room for it in its top line
            await until(lambda: words in text_of(app).splitlines()[0])
        await at_model(pilot, app, until)
        row = next(line for line in text_of(app).splitlines() if "▸" in line and " Model " in line)
        assert words in row or short in row, row
        shown = " ".join(text_of(app).replace("│", " ").split())
        details = {"holds": "2026-11-30 12:00:00 UTC, cpu", "does not hold": "fails: sum of heads"}
        expected = next(
            (each for end, each in details.items() if words.endswith(f" {end}")), "older versions (torch 1.0, now"
        )
        assert expected in shown


async def test_a_check_of_other_weights_does_not_count(recorded: Any, open_screen: Any, text_of: Any) -> None:
    store_report(report(identity="0" * 64), bundled_folder(), find_folders().models)
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, until):
        await until(lambda: "changed since its check" in text_of(app).splitlines()[0])


async def test_plain_mode_says_it_with_the_model(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, _until):
        assert ". model toy, 6 layers of 8 heads. host" in status(app.state)[0]
        store_report(report(), bundled_folder(), find_folders().models)
        app.state.checked.forget()
        assert ". model toy, 6 layers of 8 heads, checked: holds. host" in status(app.state)[0]
        app.state.link = "replay"
        assert "checked" not in status(app.state)[0]
        app.state.link = "live"


@pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])
async def test_without_a_check_the_command_is_named(recorded: Any, open_screen: Any, text_of: Any, size: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size) as (app, pilot, until):
        assert "check" not in text_of(app).splitlines()[0]  # our own models are checked by our tests
        await at_model(pilot, app, until)
        row = next(line for line in text_of(app).splitlines() if "▸" in line and " Model " in line)
        assert "not checked" in row
        assert "headcode models check toy" in " ".join(text_of(app).split())


async def test_c_checks_the_model_and_goes_on_behind_other_screens(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="load"))
    async with open_screen(host, notifications=True) as (app, pilot, until):
        sheet = await at_model(pilot, app, until)
        sheet.list.put(0)
        await pilot.press("c")
        assert sheet.list.option.path == "model"
        await until(lambda: "checking: " in text_of(app))
        await pilot.press("escape")
        await until(lambda: app.state.checked.running is None)
        found = stored_report(bundled_folder(), find_folders().models)
        assert found is not None
        assert found.holds
        await until(lambda: "checked: holds" in text_of(app).splitlines()[0])
        assert "toy on cpu" in text_of(app)


async def test_c_again_stops_the_check(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, notifications=True) as (app, pilot, until):
        await at_model(pilot, app, until)
        await pilot.press("c")
        await until(lambda: "c stops it" in text_of(app))
        await pilot.press("c")
        await until(lambda: app.state.checked.running is None)
        assert "not checked" in text_of(app)
        assert "The check of toy was stopped" in text_of(app)
        assert stored_report(bundled_folder(), find_folders().models) is None


async def test_a_model_that_cannot_be_checked_is_reported(
    recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    host = recorded.host()
    host.add(*recorded.events())
    host.add(OptionsChosen(options=RunOptions(model=str(gone))))
    async with open_screen(host, notifications=True) as (app, pilot, until):
        await at_model(pilot, app, until)
        await pilot.press("c")
        await until(lambda: "could not be checked" in text_of(app))
        assert "There is no folder" in text_of(app)
        assert app.state.checked.running is None
