"""A report in a real browser, where there is one: nothing runs, nothing is requested, it prints."""

import json
import os
import shutil
import struct
import subprocess
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tui.report.html import POLICY, html
from tui.report.sweep import sweep_report

from ..finished_run import make_events
from ..hostile_run import hostile_run
from ..pretended_sweep import PretendedSweep
from .reported import facts_of, folded, material_of, note, written
from .test_report import HOSTILE, look
from .test_sweep_report import read

BROWSER = os.environ.get("HEADCODE_BROWSER") or next(
    filter(None, map(shutil.which, ("chromium", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here: apt-get install chromium, or HEADCODE_BROWSER"
)
ATTACK = (
    "<script>document.title='owned'</script><img src='http://192.0.2.1/a.png' onerror=\"document.title='owned'\">"
    "<link rel=stylesheet href=http://192.0.2.1/b.css><iframe src=http://192.0.2.1/></iframe>"
)


def browse(folder: Path, page: str, *options: str) -> str:
    """Open the page and return what the browser prints."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--disable-background-networking",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", *options, file.as_uri(),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return ran.stdout


def requests_of(log: Path) -> list[str]:
    """The addresses that a page asked for, from the browser's own log of its network."""
    found = json.loads(log.read_text(encoding="utf-8"))
    started = found["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [
        each["params"]["url"] for each in found["events"] if each["type"] == started and "url" in each.get("params", {})
    ]
    return [url for url in asked if "192.0.2.1" in url or "evil.example" in url]


@pytest.fixture
def hostile_page(recorded: Any) -> str:
    picture = folded(hostile_run(recorded, ATTACK + HOSTILE))
    facts = facts_of(picture, name=ATTACK, notes=(note(ATTACK),), as_created=False)
    return written(material_of(facts, look=look()))[0]


def test_nothing_runs_and_nothing_is_requested(hostile_page: str, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    seen = browse(tmp_path, hostile_page, "--dump-dom", f"--log-net-log={log}")
    assert "<title>owned" not in seen
    assert not [tag for tag in ("<script", "<img", "<iframe", "<link") if tag in seen]
    assert requests_of(log) == []


def test_the_policy_holds_even_if_markup_came_through(hostile_page: str, tmp_path: Path) -> None:
    log, policy = tmp_path / "net.json", POLICY.replace("'", "&#39;")
    assert policy in hostile_page
    broken = hostile_page.replace("</main>", f"{ATTACK}</main>")
    seen = browse(tmp_path, broken, "--dump-dom", f"--log-net-log={log}")
    assert "<script>document" in seen, "it is in the page now"
    assert "<title>owned" not in seen
    assert requests_of(log) == []


def test_this_test_would_see_scripts_and_requests(hostile_page: str, tmp_path: Path) -> None:
    log, policy = tmp_path / "net.json", POLICY.replace("'", "&#39;")
    open_page = hostile_page.replace(policy, "").replace("</main>", f"{ATTACK}</main>")
    seen = browse(tmp_path, open_page, "--dump-dom", f"--log-net-log={log}")
    assert "<title>owned" in seen
    assert requests_of(log)


def check_width(folder: Path, page: str, width: int) -> None:
    """A page that does not fit would be scrolled sideways: nothing but tables and drawings may.

    In a frame, as windows are not narrower than 500.
    """
    measure = "document.title = 'wide ' + document.querySelector('iframe').contentDocument.documentElement.scrollWidth"
    frame = f'<iframe width="{width}" height="2000" style="border:0" srcdoc="{escape(page)}"></iframe>'
    framed = f"<!doctype html><title>x</title>{frame}<script>onload = () => {{ {measure} }}</script>"
    assert f"<title>wide {width}</title>" in browse(folder, framed, "--dump-dom")


async def test_the_report_of_a_sweep_fits_asks_for_nothing_and_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = PretendedSweep(ATTACK[:150])
    labels = [(*unit.labels[:2], ("draw", f"{ATTACK} {unit.draw}")) for unit in sweep.units]
    units = [msgspec.structs.replace(unit, labels=own) for unit, own in zip(sweep.units, labels, strict=True)]
    monkeypatch.setattr(PretendedSweep, "units", tuple(units))
    page = html(sweep_report(await read(sweep, monkeypatch)))
    log, paper = tmp_path / "net.json", tmp_path / "page.pdf"
    seen = browse(tmp_path, page, "--dump-dom", f"--log-net-log={log}")
    assert "<title>owned" not in seen
    assert "xychart" not in seen
    assert requests_of(log) == []
    for width in (390, 1280):
        check_width(tmp_path, page, width)
    browse(tmp_path, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.stat().st_size > 20_000


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_drawn_at_the_width_of_a_phone_and_of_a_desk(width: int, tmp_path: Path) -> None:
    page = written(material_of(facts_of(folded(make_events())), look=look()))[0]
    picture = tmp_path / "page.png"
    browse(tmp_path, page, f"--screenshot={picture}", f"--window-size={width},2000")
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, 2000)
    check_width(tmp_path, page, width)


def test_it_prints(tmp_path: Path) -> None:
    facts = facts_of(folded(make_events()), notes=(note("to print"),))
    page = written(material_of(msgspec.structs.replace(facts)))[0]
    paper = tmp_path / "page.pdf"
    browse(tmp_path, page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    assert paper.read_bytes().startswith(b"%PDF")
    assert paper.stat().st_size > 20_000
