"""`headcode models check`: its report, where it is shown afterwards, and its failures."""

from collections.abc import Callable
from typing import Any

import msgspec

from engine.catalog.check_report import SCHEMA, ModelCheckReport, store_report
from engine.catalog.local_models import bundled_folder
from engine.machine.folders import find_folders
from tui.terminal.times import moment


def test_a_check_is_reported_stored_and_listed(at_home: Callable[..., Any]) -> None:
    before = msgspec.json.decode(at_home("models", "list", "--json").out)["models"]
    assert {each["check"] for each in before} == {None}
    assert "headcode models check toy" in at_home("models", "show", "toy").out
    ran = at_home("models", "check", "toy", "--json")
    assert ran.code == 0, ran.err
    assert "sum of heads\n" in ran.err
    found = msgspec.json.decode(ran.out)
    assert (found["schema"], found["holds"]) == (SCHEMA, True)
    report = msgspec.json.decode(ran.out, type=ModelCheckReport)
    assert report.model == "toy"
    listed = {
        each["name"]: each["check"] for each in msgspec.json.decode(at_home("models", "list", "--json").out)["models"]
    }
    known = {"holds": True, "summary": "holds", "date": report.date, "device": report.device}
    assert listed["toy"] == known | {"versions_changed": []}
    assert listed["planted-ioi"] is None
    line = next(line for line in at_home("models", "list").out.splitlines() if line.startswith("toy"))
    assert line.split()[-3:] == ["bundled", "checked:", "holds"]
    other = next(line for line in at_home("models", "list").out.splitlines() if line.startswith("planted-ioi"))
    assert other.endswith("not checked")
    assert f"holds ({moment(report.checked_us)}, cpu)" in at_home("models", "show", "toy").out

    store_report(
        msgspec.structs.replace(report, versions=report.versions | {"torch": "1.0"}),
        bundled_folder(),
        find_folders().models,
    )
    line = next(line for line in at_home("models", "list").out.splitlines() if line.startswith("toy"))
    assert line.endswith("checked with older versions")
    shown = at_home("models", "show", "toy").out
    assert f"torch 1.0, now {report.versions['torch']}" in shown
    assert "again: headcode models check toy" in shown
    as_json = msgspec.json.decode(at_home("models", "show", "toy", "--json").out)["model"]["check"]
    assert as_json["versions_changed"] == [f"torch 1.0, now {report.versions['torch']}"]


def test_a_report_that_cannot_be_stored_is_still_shown(at_home: Callable[..., Any]) -> None:
    blocked = find_folders().models / ".checks"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("not a folder")
    ran = at_home("models", "check", "toy")
    assert ran.code == 0, ran.err
    assert "sum of heads" in ran.out
    assert "The result could not be stored beside the models: File exists." in ran.err
    assert blocked.read_text() == "not a folder"


def test_what_cannot_be_checked_is_refused(at_home: Callable[..., Any]) -> None:
    for words, message in (
        (("./nowhere",), "There is no folder './nowhere'"),
        (("toy", "--dtype", "int4"), "'int4' is no number format"),
        (("toy", "--device", "abacus"), "'abacus' cannot be used here"),
    ):
        ran = at_home("models", "check", *words)
        assert (ran.code, ran.out, message in ran.err) == (2, "", True), ran.err
