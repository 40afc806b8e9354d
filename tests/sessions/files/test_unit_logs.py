"""Logs of units: every try in one file, in pieces, kept small, and failed ones first."""

import os
from pathlib import Path

from sessions.files import unit_logs
from sessions.files.unit_logs import UnitLogs, newest_units, read_unit_logs, unit_log


def test_every_try_of_a_unit_is_in_its_log(tmp_path: Path) -> None:
    logs = UnitLogs(tmp_path)
    logs.done("quiet", "mine: run r0")
    logs.add("a", "mine: run r1 on one", "begins\nhalf a li")
    logs.add("b", "mine: run r2 on two", "noise\n")
    logs.add("a", "mine: run r1 on one", "ne")
    logs.failed("a", "mine: run r1 on one", "The engine\ncrashed.")
    logs.add("a", "mine: run r3 on two", "begins")
    (a, b) = read_unit_logs(tmp_path, ["a", "b", "quiet"])
    assert a.lines == (
        "--- mine: run r1 on one", "begins", "half a line", "failed: The engine crashed.",
        "--- mine: run r3 on two", "begins",
    )  # fmt: skip
    assert (a.failed, b.lines, b.failed) == (False, ("--- mine: run r2 on two", "noise"), False)
    logs.failed("b", "mine: run r2 on two", "no memory")
    assert [each.key for each in read_unit_logs(tmp_path, ["a", "b"])] == ["b", "a"]
    logs.add("c", "mine: run r5 on two", "more\n")
    assert [each.key for each in read_unit_logs(tmp_path, ["a", "c", "b"], most_lines=6)] == ["b", "a"]  # a has six
    # Another host goes on in the same file.
    UnitLogs(tmp_path).done("b", "mine: run r4 on one")
    found = read_unit_logs(tmp_path, ["a", "b"])
    assert [each.key for each in found] == ["a", "b"]
    assert found[1].lines[-2:] == ("--- mine: run r4 on one", "done")


def test_a_log_and_their_number_are_kept_small(tmp_path: Path, monkeypatch) -> None:
    logs = UnitLogs(tmp_path)
    for number in range(40):
        logs.add("a", "r1", f"{number:04} {'x' * 4_000}\n")
    path = unit_log(tmp_path, "a")
    assert path.stat().st_size <= 64_000
    assert path.read_text().splitlines()[-1].startswith("0039 ")
    assert path.read_text().startswith("...\n00")
    monkeypatch.setattr(unit_logs, "_MOST_FILES", 20)
    os.utime(path, ns=(0, 0))
    for number in range(30):
        logs.add(f"k{number:02}", "r", "text\n")
        os.utime(unit_log(tmp_path, f"k{number:02}"), ns=(number + 1, number + 1))
    left = newest_units(tmp_path)
    assert 18 <= len(left) <= 20
    assert left[0] == "k29"
    assert "a" not in left


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "units").write_text("a file in the way")
    logs = UnitLogs(tmp_path)
    logs.add("a", "r1", "text")
    logs.failed("a", "r1", "why")
    assert read_unit_logs(tmp_path, ["a"]) == ()
    assert newest_units(tmp_path) == []
    other = tmp_path / "other"
    (other / "units").mkdir(parents=True)
    os.mkfifo(other / "units" / "a.log")
    UnitLogs(other).add("a", "r1", "text")
    assert read_unit_logs(other, ["a"]) == ()
