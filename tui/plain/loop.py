"""The loop of plain mode: reads a line, prints lines; announcements get lines of their own."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TextIO

from engine.errors import HeadcodeError
from tui.connection.requests import Connect
from tui.plain.comparing import ComparisonVerbs
from tui.plain.verb_table import NoSuchVerb, find_verb
from tui.plain.verbs_atlas import AtlasVerbs
from tui.plain.verbs_codes import CodeVerbs
from tui.plain.verbs_edges import EdgeVerbs
from tui.plain.verbs_examples import ExampleVerbs
from tui.plain.verbs_inside import InsideVerbs
from tui.plain.verbs_run import RunVerbs
from tui.plain.verbs_steer import SteerVerbs
from tui.plain.verbs_sweeps import SweepVerbs
from tui.plain.workbench import PlainWorkbench, Say
from tui.state.messages import format_message
from tui.terminal.sanitize import clean

PROMPT = "headcode> "


class VerbRunner:
    """Executes lines: finds the verb and the object that handles it."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain = plain
        own = (RunVerbs(plain), InsideVerbs(plain), SteerVerbs(plain), CodeVerbs(plain), EdgeVerbs(plain))
        parts = (*own, AtlasVerbs(plain), SweepVerbs(plain), ComparisonVerbs(plain), ExampleVerbs(plain))
        self.handlers: dict[str, Callable[[str], Awaitable[None]]] = {
            name.removeprefix("do_"): getattr(part, name)
            for part in parts
            for name in dir(part)
            if name.startswith("do_")
        }

    async def do(self, line: str) -> bool:
        """Execute a line; return False if it ends the session."""
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            return True
        try:
            verb = find_verb(word)
        except NoSuchVerb as error:
            self.plain.refuse(str(error))
            return True
        if verb.name == "leave":
            return False
        before = self.plain.state.failure
        try:
            await self.handlers[verb.name](rest.strip())
        except HeadcodeError as error:
            self.plain.refuse(format_message(error.as_failure()))
        if self.plain.state.failure is not None and self.plain.state.failure is not before:
            self.plain.refused += 1
            self.plain.changed()
        return True


async def run_plain(
    connect: Connect,
    *,
    session: str | None,
    model: str,
    task: str,
    source: TextIO | None = None,
    asked: bool = False,
    out: TextIO | None = None,
) -> int:
    """Execute lines until they end or one leaves; return the exit code: 2 if a piped line was refused."""
    lines, sink = source or sys.stdin, out or sys.stdout
    tty = lines.isatty()
    asking = False

    def say(words: str) -> None:
        # On a terminal, announcements go on a line of their own, not behind the prompt.
        sink.write(f"\n{words}\n" if asking and tty else f"{words}\n")
        sink.flush()

    plain = PlainWorkbench(connect, say, session=session, model=model, task=task, asked=asked)
    runner = VerbRunner(plain)
    say("headcode, plain mode. help lists the verbs, leave quits.")
    feed = asyncio.create_task(plain.link.run())
    try:
        await plain.until(lambda: plain.state.link in ("live", "failed") or feed.done())
        if feed.done() and not feed.cancelled() and feed.exception() is not None:
            await feed
        await plain.catch_up()
        while plain.state.link != "failed":
            if tty:
                sink.write(PROMPT)
                sink.flush()
            asking = True
            line = await _next(lines)
            asking = False
            if line is None or not await runner.do(line):
                break
        return _end(plain, say, tty=tty)
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        await plain.link.close()


def _end(plain: PlainWorkbench, say: Say, *, tty: bool) -> int:
    failure, run = plain.state.failure, plain.state.active
    if plain.state.link == "failed" and failure is not None:
        say(f"error: {clean(format_message(failure))}")
        return plain.link.exit_code
    say("left." if run is None else f"left; run {run.number} continues, headcode shows it again.")
    return 2 if plain.refused and not tty else 0


async def _next(lines: TextIO) -> str | None:
    """Return the next line, or None at the end.

    It is read in a daemon thread, which does not delay the exit.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str | None] = loop.create_future()

    def put(line: str | None) -> None:
        if not found.done():
            found.set_result(line)

    def read() -> None:
        try:
            line = lines.readline(1_000_000)
        except (OSError, ValueError):
            line = ""
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(put, line or None)

    threading.Thread(target=read, daemon=True).start()
    return await found
