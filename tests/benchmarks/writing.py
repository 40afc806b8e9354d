"""How quickly examples are pasted, walked through and graded, on a real host with a real engine.

python tests/benchmarks/writing.py [MODEL] [HEADCODE_HOME]; prints one line a measure. Not part of the test run.
"""

import asyncio
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

from textual import events
from textual.pilot import Pilot

from engine.examples import Example
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient, stop_host
from sessions.protocol import (
    CreateSession,
    GradeExamples,
    Grades,
    MakeTaskExamples,
    SessionAnswer,
    SetExamples,
    TaskExamplesMade,
)
from tui.app.app import HeadcodeApp
from tui.screens.write import WriteScreen

ROUNDS = 15


def say(name: str, seconds: list[float], aim: str) -> None:
    each = sorted(1000 * second for second in seconds)
    top = each[min(int(0.95 * len(each)), len(each) - 1)]
    print(f"{name}: median {statistics.median(each):.0f} ms, 95 % {top:.0f} ms, most {each[-1]:.0f} ms; asked {aim}")


async def until(pilot: Pilot[None], holds: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never became true"
        await pilot.pause(0.001)


async def measure(model: str, home: str) -> None:
    places = find_folders({"HEADCODE_HOME": home})
    async with await HostClient.connect(places) as client:
        session = (await client.ask(CreateSession(name="writing", model=model), SessionAnswer)).session.session_id
        made = await client.ask(MakeTaskExamples(session=session, task="ioi", pairs=10), TaskExamplesMade)
        await client.ask(SetExamples(session=session, examples=made.examples), SessionAnswer)
        await client.ask(GradeExamples(session=session, examples=made.examples), Grades)  # the model is here now
        took = []
        for seed in range(1, ROUNDS + 1):
            made = await client.ask(
                MakeTaskExamples(session=session, task="ioi", pairs=10, task_seed=seed), TaskExamplesMade
            )
            begun = time.perf_counter()
            await client.ask(GradeExamples(session=session, examples=made.examples), Grades)
            took.append(time.perf_counter() - begun)
        say("grades of 20 new examples, asked at once", took, "1,000 ms (SmolLM2: 3,000)")

    async def connect() -> HostClient:
        return await HostClient.connect(places)

    app = HeadcodeApp(connect, session=session, model=model, task="ioi", depth="full")
    async with app.run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: app.state.link == "live" and app.state.session.examples.current)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, WriteScreen) and len(app.screen.graded.grades) == 20)
        screen = app.screen
        assert isinstance(screen, WriteScreen)
        await typing(pilot, screen)
        await pasting(pilot, screen)
    async with await HostClient.connect(places) as client:
        many = tuple(Example(prompt=f"prompt number {n} of many", polarity="positive") for n in range(10_000))
        await client.ask(SetExamples(session=session, examples=many), SessionAnswer)
    await asyncio.to_thread(scrolling, home)
    await stop_host(places)


async def typing(pilot: Pilot[None], screen: WriteScreen) -> None:
    """From the last key to the grade of what was typed; the rest after typing is in it."""
    took = []
    await pilot.press("a")
    for number in range(ROUNDS):
        screen.edit.put("+ When Mary and John went to the shop, John gave a ring to => Mar")
        await pilot.press("y", *" | John"[: number % 3])
        screen.edit.put(f"+ When Mary and John went to the shop {number} times, John gave a ring to => Mary | Joh")
        begun = time.perf_counter()
        await pilot.press("n")
        line = screen.proof.example
        assert line is not None
        await until(pilot, lambda: screen.graded.grade_of(line) is not None)  # noqa: B023  # awaited in the same round
        took.append(time.perf_counter() - begun)
    await pilot.press("escape")
    say("grade after the last key", took, "1,000 ms (SmolLM2: 3,000)")


async def pasting(pilot: Pilot[None], screen: WriteScreen) -> None:
    drawn, recorded = [], []
    for number in range(5):
        before = len(screen.graded.examples)
        text = "\n".join(f"+ pasted {number} {line} of a => b | c" for line in range(1_000))
        begun = time.perf_counter()
        screen.rows.post_message(events.Paste(text))
        await until(pilot, lambda: len(screen.graded.examples) == before + 1_000)  # noqa: B023
        await pilot.pause()
        drawn.append(time.perf_counter() - begun)
        await until(pilot, lambda: screen.graded.saved)
        recorded.append(time.perf_counter() - begun)
    say("paste of 1,000, drawn", drawn, "500 ms")
    say("paste of 1,000, recorded", recorded, "-")


def scrolling(home: str) -> None:
    """The program itself on a pseudo-terminal: from the key to the last byte of its frame, and the processor's time for
    it, which other programs do not lengthen."""
    screen = Terminal(home)
    screen.drain(3.0)
    screen.press(b"1")
    walk(screen, "examples pane")
    screen.press(b"w")
    screen.drain(1.0)
    walk(screen, "write screen while it grades")
    time.sleep(30)
    screen.drain(1.0)
    walk(screen, "write screen")
    screen.end()


KEYS = {"pagedown": b"\x1b[6~", "pageup": b"\x1b[5~", "home": b"\x1b[H", "end": b"\x1b[F", "down": b"\x1b[B"}


def walk(screen: "Terminal", where: str) -> None:
    took, worked = [], []
    for key in ["pagedown"] * 20 + ["end", "pageup", "pageup", "home"] * 5 + ["down"] * 40:
        seconds, work = screen.press(KEYS[key])
        took.append(seconds)
        worked.append(work)
    say(f"{where}, 10,000 examples, key to frame", took, "no frame above 100 ms")
    say(f"{where}, 10,000 examples, processor time of a frame", worked, "-")


class Terminal:
    """The program at 160 x 48 on the newest session."""

    def __init__(self, home: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(HEADCODE_HOME=home, TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(sys.executable, [sys.executable, "-c", "from tui.cli import main; main()"])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 48, 160, 0, 0))

    def press(self, key: bytes) -> tuple[float, float]:
        """Seconds to the last byte of what the key changed, and seconds of the processor in them."""
        work, begun = self._worked(), time.perf_counter()
        os.write(self.fd, key)
        last = self.drain(0.05)
        return max(last - begun, 0.0), self._worked() - work

    def drain(self, quiet_s: float) -> float:
        """Reads until nothing comes any more; when the last byte came."""
        last = time.perf_counter()
        while select.select([self.fd], [], [], quiet_s)[0]:
            os.read(self.fd, 65_536)
            last = time.perf_counter()
        return last

    def _worked(self) -> float:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "toy"
    folder = sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="hc-")
    Path(folder).mkdir(exist_ok=True)
    asyncio.run(measure(name, folder))
