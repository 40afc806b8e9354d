"""Test the tables of docs/first-hour.md key by key, with the real program and an empty home."""

import asyncio
import importlib.util
import os
import pty
import re
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len

from engine.events import EffectsMeasured, ExamplesMade
from engine.examples import Example
from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.protocol import GetHeadInspection, HeadInspection, ListSessions, SessionsAnswer

ROOT = Path(__file__).parents[3]
COLUMNS, LINES = 160, 48
PATIENCE_S = 180
"""For one look: an engine that starts took 52 s on a machine with ten other programs."""
ENTER_OR_ESCAPE = {"enter": "\r", "escape": "\x1b"}
_TOKEN = re.compile(r"\x1b\[([\d;?<>=]*)([A-Za-z])|\x1b[\]P^_].*?(?:\x07|\x1b\\)|\x1b[^\[\]]|([^\x1b])", re.DOTALL)


def _walk_module() -> Any:
    spec = importlib.util.spec_from_file_location("walk", ROOT / "docs" / "walk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["walk"] = module  # its dataclass asks for it
    spec.loader.exec_module(module)
    return module


walk = _walk_module()
WALKS = walk.read_walks((ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8"))


class Program:
    """`headcode` on a pseudo-terminal, and the terminal's content."""

    def __init__(self, home: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(COLUMNS=str(COLUMNS), LINES=str(LINES))
            os.environ.update(HEADCODE_HOME=str(home), TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.execv(sys.executable, [sys.executable, "-c", "import sys; from tui.cli import main; sys.exit(main([]))"])
        self.rows = [[" "] * COLUMNS for _ in range(LINES)]
        self._at = (0, 0)
        self._rest = b""
        self._last = " "
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def text(self) -> str:
        return "\n".join("".join(row) for row in self.rows)

    def press(self, key: str) -> None:
        os.write(self.fd, ENTER_OR_ESCAPE.get(key, key).encode())

    def type(self, text: str) -> None:
        for letter in text:
            self.press(letter)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._reader.join()
        os.close(self.fd)

    def _read(self) -> None:
        with suppress(OSError):
            while select.select([self.fd], [], [], 600)[0]:
                piece = os.read(self.fd, 65_536)
                if not piece:
                    return
                self._take(self._rest + piece)

    def _take(self, data: bytes) -> None:
        """Up to what may be the beginning of a sign or a sequence that goes on in the next piece."""
        last = data.rfind(b"\x1b")
        whole = last < 0 or re.match(rb"\x1b\[[\d;?<>=]*[A-Za-z]|\x1b[^\[\]P^_]", data[last:]) is not None
        keep = len(data) if whole else last
        try:
            text = data[:keep].decode()
        except UnicodeDecodeError as error:
            keep = error.start
            text = data[:keep].decode()
        self._rest = data[keep:]
        for found in _TOKEN.finditer(text):
            numbers, final, sign = found.groups()
            if final == "H":
                row, _, column = (numbers or "1;1").partition(";")
                self._at = (int(row or 1) - 1, int(column or 1) - 1)
            elif final in ("C", "G", "d"):
                number, (row, column) = int(numbers or 1), self._at
                self._at = {"C": (row, column + number), "G": (row, number - 1), "d": (number - 1, column)}[final]
            elif final in ("X", "K"):
                row, column = self._at
                end = min(column + int(numbers or 1), COLUMNS) if final == "X" else COLUMNS
                self.rows[row][column:end] = " " * (end - column)
            elif final == "b":
                for _ in range(int(numbers or 1)):
                    self._put(self._last)
            elif final == "J":
                self.rows = [[" "] * COLUMNS for _ in range(LINES)]
            elif sign == "\n":
                self._at = (self._at[0] + 1, 0)
            elif sign == "\r":
                self._at = (self._at[0], 0)
            elif sign is not None and sign.isprintable():
                self._put(sign)

    def _put(self, sign: str) -> None:
        row, column = self._at
        if row < LINES and column < COLUMNS:
            self.rows[row][column] = sign
        self._last = sign
        self._at = (row, column + max(cell_len(sign), 1))


async def see(program: Program, stroke: Any, *, unlike: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while program.text() == unlike or not all(each in program.text() for each in stroke.sees):
        if time.monotonic() > deadline:
            missing = [each for each in stroke.sees if each not in program.text()]
            raise AssertionError(f"after {stroke.keys} there is no {missing} on\n{program.text()}")
        await asyncio.sleep(0.02)


async def first_examples(client: HostClient, session: str) -> tuple[str, tuple[Example, ...]]:
    """The session's first run and what it ran on."""
    async for entries in client.follow(session):
        for entry in entries:
            if isinstance(entry.event, ExamplesMade):
                return entry.run_id or "", entry.event.examples
    raise AssertionError("there was no run")


async def heads_that_look_at_the_name(places: AppFolders) -> set[str]:
    """From the model itself: on five positives, the last token of the prompt looks at the expected name."""
    async with await HostClient.connect(places) as client:
        session = (await client.ask(ListSessions(), SessionsAnswer)).sessions[0].session_id
        run, examples = await first_examples(client, session)
        found = set()
        positives = [place for place, example in enumerate(examples) if example.positive][:5]
        for layer in range(4):
            for head in range(8):
                weights = []
                for place in positives:
                    asked = GetHeadInspection(run=run, layer=layer, head=head, example=place)
                    look = await client.ask(asked, HeadInspection)
                    name = [token.strip() for token in look.tokens].index(examples[place].expected[0].strip())
                    weights.append(look.attention[-1][name])
                if sum(weights) / len(weights) > 0.3:
                    found.add(f"{layer}.{head}")
    return found


async def exact_effects(places: AppFolders) -> dict[str, float]:
    """How much patching each head did to the answer in the first run, as `v` measured it on the way."""
    async with await HostClient.connect(places) as client:
        session = (await client.ask(ListSessions(), SessionsAnswer)).sessions[0].session_id
        run, _ = await first_examples(client, session)
        async for entries in client.follow(session, run=run):
            for entry in entries:
                if isinstance(entry.event, EffectsMeasured) and entry.event.method == "exact" and entry.event.final:
                    return {str(each.id): abs(each.effect) for each in entry.event.effects if each.id.is_head}
    raise AssertionError("no effect was measured")


async def test_the_walks_of_the_page_lead_where_it_says(places: AppFolders) -> None:
    assert len(WALKS) == 2
    program = Program(places.data.parent)
    try:
        for stroke in (stroke for each in WALKS for stroke in each):
            before = program.text()
            for key in stroke.keys:
                program.type(key[1:-1]) if key.startswith('"') else program.press(key)
            # What is looked for may have stood beside a sheet before; a key that follows too soon would meet the sheet.
            await see(program, stroke, unlike=before if stroke.keys else "")
    finally:
        program.end()
    movers = (stroke.sees[0] for stroke in WALKS[0] if "attends to Edward" in stroke.sees)
    named = {name for text in movers for name in re.findall(r"Head (\d\.\d) on", text)}
    assert len(named) == 4
    looking = await heads_that_look_at_the_name(places)
    assert named | {"1.0"} == looking, "those that the page calls name movers, and no others"
    sizes = await exact_effects(places)
    assert [head for head, _ in sorted(sizes.items(), key=lambda each: -each[1])][:2] == ["0.5", "0.0"]
    assert min(sizes["1.6"], sizes["1.1"], sizes["1.3"]) > sizes["1.7"]
    measured = msgspec.json.decode((ROOT / "engine/assets/toy/circuits.json").read_bytes())["tasks"]["ioi"]
    assert named <= {f"{layer}.{head}" for layer, head in measured["heads"]}


def test_every_picture_of_the_page_is_there_and_drawn_on_the_way() -> None:
    page = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((first-hour/[^)]+)\)", page))
    assert linked == {stroke.picture for each in WALKS for stroke in each if stroke.picture}
    for name in linked:
        assert (ROOT / "docs" / name).read_text(encoding="utf-8").startswith("<svg")


def test_a_row_that_cannot_be_walked_is_refused() -> None:
    head = "| press | look for | what it says | picture |\n| --- | --- | --- | --- |\n"
    assert walk.read_walks(head + "| `a` | `b` | c | |\n")[0] == [walk.Stroke(("a",), ("b",), "")]
    for row in ("| `a` | nothing to look for | c |", "| `a` | | c | |"):
        with pytest.raises(ValueError, match="nothing to look for"):
            walk.read_walks(head + row)
