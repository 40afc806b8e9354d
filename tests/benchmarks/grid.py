"""What a key costs on a large grid: milliseconds until the frame is out, bytes over the line, and nothing when idle.

The real program on a pseudo-terminal of its own, on a real host with a recorded session of 80 layers x 64 heads, and of
48 x 64 where the whole grid changes at once. One command:

    python tests/benchmarks/grid.py [--rounds 40] [--colours truecolor|256|16] [--only NAME] [--json]
    python tests/benchmarks/grid.py --line 56,80 [--textual]   # over 56 kB/s with 80 ms; with Textual's frames
"""

import argparse
import asyncio
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import NamedTuple

import long_session

from engine.machine.folders import find_folders
from sessions.client.connection import stop_host

_QUIET_S = 0.02
"""After this long without a byte the frame is out; the head's page follows 80 ms after the cursor's last step."""
_COLUMNS, _ROWS = 64, 80
"""The large grid: heads and layers."""
_REST_S = 0.5
"""After this long everything that hangs on a key has been drawn."""


class Pressed(NamedTuple):
    """What one key made of the screen."""

    seconds: float
    """Until the frame was out."""
    worked: float
    """Seconds of the processor in them."""
    sent: int
    """Bytes of the frame."""
    sent_later: int
    """Bytes that came when the cursor rested."""


class Line(NamedTuple):
    """The terminal between the program and the user."""

    bytes_s: float = float("inf")
    delay_s: float = 0.0
    """From a key to the program and back."""


PROGRAM = "from tui.cli import main; main()"
TEXTUAL = """
from textual.app import App
from tui.terminal.diff_renderer import DiffApp
del DiffApp.encode_frame
"""
"""What leaves frames to Textual: the compositor's lines, from each widget's left edge on."""


class Terminal:
    """The program on a pseudo-terminal, answered to as xterm answers, read as fast as the line is."""

    def __init__(self, home: Path, size: tuple[int, int], colours: str, line: Line, *, textual: bool) -> None:
        self._line = line
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(HEADCODE_HOME=str(home), TERM="xterm-256color", COLORTERM="truecolor")
            program = TEXTUAL + PROGRAM if textual else PROGRAM
            words = ["--session", long_session.NAME, "--color", colours]
            os.execv(sys.executable, [sys.executable, "-c", program, *words])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._end = b""
        self.last = 0.0
        """When the newest byte came."""

    def read(self, quiet: float, *, most: float = 30.0) -> bytes:
        """What comes until nothing has come for so long."""
        out, begun = b"", time.perf_counter()
        while time.perf_counter() - begun < most:
            if not select.select([self.fd], [], [], quiet if out else max(quiet, 0.4))[0]:
                break
            out += self._piece()
        return out

    def _piece(self) -> bytes:
        """Read what has come, as fast as the line is."""
        piece = os.read(self.fd, 65536 if self._line.bytes_s == float("inf") else 512)
        time.sleep(len(piece) / self._line.bytes_s)
        self.last = time.perf_counter()
        self._end = self._end[-16:] + piece
        if b"\x1b[?2026$p" in self._end:
            self._end = b""
            os.write(self.fd, b"\x1b[?2026;2$y")
        return piece

    def key(self, key: bytes) -> "Pressed":
        """What one key made of the screen."""
        worked, begun = self._worked(), time.perf_counter()
        os.write(self.fd, key)
        frame = self.read(_QUIET_S)
        took = self.last - begun + self._line.delay_s if frame else float("nan")
        return Pressed(took, self._worked() - worked, len(frame), len(self.read(_REST_S)))

    def held(self, key: bytes, times: int) -> tuple[int, float]:
        """Send a key 30 times a second; return all bytes that came, and the seconds the last lags behind its key."""
        begun, sent, last_key = time.perf_counter(), 0, 0.0
        for step in range(times):
            last_key = time.perf_counter()
            os.write(self.fd, key)
            while (left := begun + (step + 1) / 30 - time.perf_counter()) > 0:
                if select.select([self.fd], [], [], left)[0]:
                    sent += len(self._piece())
        while select.select([self.fd], [], [], _QUIET_S)[0]:
            sent += len(self._piece())
        lag = self.last - last_key
        return sent + len(self.read(_REST_S)), lag

    def _worked(self) -> float:
        """Seconds of the processor that the program has had; other programs do not lengthen them."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class Report:
    """Rows for people, or for programs."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def row(self, what: str, found: list[float], unit: str, aim: str) -> None:
        middle, late = statistics.median(found), sorted(found)[int(0.95 * (len(found) - 1))]
        row = {"what": what, "median": middle, "p95": late, "most": max(found), "unit": unit, "aim": aim}
        self.rows.append(row)
        print(f"{what:58} {middle:9.0f} {late:9.0f} {max(found):9.0f} {unit:5} {aim:>14}", file=sys.stderr)

    def keys(self, what: str, found: list[Pressed], *, time_aim: str = "", bytes_aim: str = "") -> None:
        self.row(f"{what}: key to frame", [1000 * each.seconds for each in found], "ms", time_aim)
        self.row(f"{what}: the processor's time of it", [1000 * each.worked for each in found], "ms", "")
        self.row(f"{what}: its bytes", [each.sent for each in found], "bytes", bytes_aim)
        if any(each.sent_later for each in found):
            self.row(f"{what}: and when the cursor rests", [each.sent_later for each in found], "bytes", "")


def measure(terminal: Terminal, size: tuple[int, int], rounds: int, report: Report, *, whole: bool) -> None:
    try:
        words = f"{size[0]}x{size[1]}"
        first = terminal.read(4.0, most=90)
        assert b"unique codes" in first, "the grid never came"
        if whole:  # wide enough for all of it to be in sight beside the other panes
            cells = [terminal.key(b"m") for _ in range(rounds)]
            report.keys(f"{words}, all 48 x 64 change", cells, bytes_aim="80,000")
            return
        report.row(f"{words}, first screen", [len(first)], "bytes", "")
        if "idle" not in report.__dict__:
            begun = time.perf_counter()
            idle = 0
            while time.perf_counter() - begun < 10:
                idle += len(terminal.read(1.0, most=2.0))
            report.row(f"{words}, idle for 10 s", [idle], "bytes", "0")
        # From one corner, in the first measure: how much a cell that scrolls into sight costs depends on both.
        for key, most in ((b"h", _COLUMNS), (b"k", _ROWS)):
            os.write(terminal.fd, key * most)
            terminal.read(_REST_S)
        held = [terminal.held(key, _COLUMNS - 1) for key in (b"l", b"h")]
        keys_sent = len(held) * (_COLUMNS - 1)
        mean = sum(sent for sent, _ in held) / keys_sent
        report.row(f"{words}, a key held for {keys_sent} cells at 30 a second", [mean], "bytes", "")
        report.row(f"{words}, it lags behind by", [1000 * lag for _, lag in held], "ms", "")
        for name, keys in (("cursor to the side", (b"l", b"l", b"h")), ("cursor down", (b"j", b"j", b"k"))):
            found = [terminal.key(keys[place % 3]) for place in range(rounds)]
            report.keys(f"{words}, {name}", found, time_aim="30 / 60", bytes_aim="200")
        for name, keys in (("ranking", (b"]",)), ("cut", (b"T", b"T", b"t")), ("next measure", (b"m",))):
            found = [terminal.key(keys[place % len(keys)]) for place in range(rounds)]
            report.keys(f"{words}, {name}", found, time_aim="30 / 60")
    finally:
        terminal.end()


def _line(text: str) -> Line:
    speed, _, delay = text.partition(",")
    return Line(1000 * float(speed), float(delay or 0) / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--colours", default="truecolor")
    parser.add_argument("--only", choices=("large", "whole"))
    parser.add_argument("--line", type=_line, default=Line(), help="kB/s,ms: the speed and delay of a line between")
    parser.add_argument("--textual", action="store_true", help="with the frames that Textual sends")
    parser.add_argument("--keep", type=Path, help="a folder for the recorded sessions; made there, used again")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp(prefix="hc-grid"))
    report = Report()
    print(f"load {os.getloadavg()[0]:.1f}, colours {args.colours}", file=sys.stderr)
    print(f"{'':58} {'median':>9} {'95 %':>9} {'most':>9} {'':5} {'aim':>14}", file=sys.stderr)
    try:
        for name, layers, size in (("large", _ROWS, (160, 48)), ("whole", 48, (340, 62))):
            if args.only not in (None, name):
                continue
            home = folder / name
            if not home.exists():
                long_session.make(home, runs=1, minutes=5, layers=layers, heads=_COLUMNS)
            try:
                terminal = Terminal(home, size, args.colours, args.line, textual=args.textual)
                measure(terminal, size, args.rounds, report, whole=name == "whole")
            finally:
                asyncio.run(stop_host(find_folders({"HEADCODE_HOME": str(home)})))
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        print(json.dumps({"schema": "headcode.bench-grid/1", "colours": args.colours, "rows": report.rows}, indent=1))


if __name__ == "__main__":
    main()
