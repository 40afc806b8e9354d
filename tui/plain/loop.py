"""The loop of plain mode: reads a line, prints lines; announcements get lines of their own."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from engine.errors import HeadcodeError
from sessions.protocol import SessionDetailAnswer, ShowSession
from tui.connection.requests import Connect
from tui.connection.session_link import SessionLink
from tui.plain.announcements import Announcements
from tui.plain.comparing import ComparisonVerbs
from tui.plain.verb_table import NoSuchVerb, find_verb, verb_for
from tui.plain.verbs_examples import ExampleVerbs
from tui.plain.verbs_run import RunVerbs
from tui.state.messages import format_message
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean

PROMPT = "headcode> "
Say = Callable[[str], None]


class PlainWorkbench(RunVerbs, ComparisonVerbs, ExampleVerbs):
    """The plain workbench: one state, one link, one line at a time."""

    def __init__(
        self,
        connect: Connect,
        say: Say,
        *,
        session: str | None = None,
        model: str = "toy",
        task: str = "ioi",
        asked: bool = False,
    ) -> None:
        self.state = WorkbenchState(model=model, task=task)
        self.state.key = verb_for
        self.link = SessionLink(self.state, connect, self._changed, session=session, asked=asked)
        self.news = Announcements(self.state)
        self.say = say
        self.refused = 0
        """Number of lines that were refused."""
        self._moved = asyncio.Event()
        self.begin_writing()

    async def follow(self) -> None:
        """Keep in step with the host until that fails permanently."""
        await self.link.run()

    def _changed(self, _parts: object) -> None:
        for line in self.news.lines():
            self.say(line)
        self._moved.set()

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until a condition on the state holds."""
        while not holds():
            self._moved.clear()
            # The log reports nearly everything; the engine's state is polled.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), 0.5)

    async def catch_up(self) -> None:
        """Wait until all current entries of the session's log have been read."""
        state = self.state
        if state.link == "live" and state.session_id is not None:
            with suppress(HeadcodeError):
                detail = (await self.link.ask(ShowSession(session=state.session_id), SessionDetailAnswer)).detail
                await self.until(lambda: state.last_seq >= detail.last_seq or state.link != "live")
        self.news.caught_up = True

    async def do(self, line: str) -> bool:
        """Execute a line; return False if it ends the session."""
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            return True
        try:
            verb = find_verb(word)
        except NoSuchVerb as error:
            self.refuse(str(error))
            return True
        if verb.name == "leave":
            return False
        before = self.state.failure
        try:
            await getattr(self, f"do_{verb.name}")(rest.strip())
        except HeadcodeError as error:
            self.refuse(format_message(error.as_failure()))
        if self.state.failure is not None and self.state.failure is not before:
            self.refused += 1
            self._changed(None)
        return True

    def refuse(self, words: str) -> None:
        self.refused += 1
        self.say(f"error: {clean(words)}")


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

    state = PlainWorkbench(connect, say, session=session, model=model, task=task, asked=asked)
    say("headcode, plain mode. help lists the verbs, leave quits.")
    feed = asyncio.create_task(state.follow())
    try:
        await state.until(lambda: state.state.link in ("live", "failed") or feed.done())
        if feed.done() and not feed.cancelled() and feed.exception() is not None:
            await feed
        await state.catch_up()
        while state.state.link != "failed":
            if tty:
                sink.write(PROMPT)
                sink.flush()
            asking = True
            line = await _next(lines)
            asking = False
            if line is None or not await state.do(line):
                break
        return _end(state, say, tty=tty)
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        await state.link.close()


def _end(state: PlainWorkbench, say: Say, *, tty: bool) -> int:
    failure, run = state.state.failure, state.state.active
    if state.state.link == "failed" and failure is not None:
        say(f"error: {clean(format_message(failure))}")
        return state.link.exit_code
    say("left." if run is None else f"left; run {run.number} continues, headcode shows it again.")
    return 2 if state.refused and not tty else 0


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
