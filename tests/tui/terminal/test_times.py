"""Times on all faces: one function, the local clock, its zone named."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

import tui
from tui.terminal.times import clock, day_clock, day_or_clock, moment, zone

WINTER_US, SUMMER_US = 1_768_489_200_000_000, 1_784_127_600_000_000
"""2026-01-15 15:00 and 2026-07-15 15:00, UTC."""


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with a summer time, by its rule: no database of zones is needed."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_time_names_the_zone_that_held_then() -> None:
    assert moment(WINTER_US) == "2026-01-15 16:00:00 CET"
    assert moment(SUMMER_US) == "2026-07-15 17:00:00 CEST"
    assert clock(SUMMER_US) == "17:00:00 CEST"
    assert day_clock(WINTER_US) == "15 Jan 16:00:00 CET"


def test_a_narrow_column_has_the_hour_of_today_else_the_day() -> None:
    assert day_or_clock(WINTER_US) == "2026-01-15"
    now = datetime.now().astimezone()
    assert day_or_clock(int(now.timestamp() * 1e6)) == f"{now:%H:%M}"
    assert zone() in ("CET", "CEST")


def test_no_face_has_a_rule_of_its_own() -> None:
    """`start_point` reads an hour that a person typed; it writes none."""
    found = {
        path.relative_to(Path(tui.__path__[0])).as_posix()
        for path in Path(tui.__path__[0]).rglob("*.py")
        if "fromtimestamp" in path.read_text()
    }
    assert found == {"terminal/times.py", "replay/start_point.py"}
