"""The state and the link of plain mode, and what its verbs share: printing, refusing, waiting."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from engine.errors import HeadcodeError
from sessions.protocol import SessionDetailAnswer, ShowSession
from tui.connection.requests import Connect
from tui.connection.session_link import SessionLink
from tui.plain.announcements import Announcements
from tui.plain.verb_table import verb_for
from tui.state.disabled_reasons import disabled_reason
from tui.state.grid_view import GridView
from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean

Say = Callable[[str], None]
_RECORDED_S = 10.0
"""Maximum seconds to wait for the log to show what the host has recorded."""


class NotAvailable(HeadcodeError):
    """A verb whose action is disabled now."""

    family = "input"


class PlainWorkbench:
    """What the verbs work on: one state, one link, and a way to print lines and refuse."""

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
        self.link = SessionLink(self.state, connect, self.changed, session=session, asked=asked)
        self.news = Announcements(self.state)
        self.say = say
        self.refused = 0
        """Number of lines that were refused."""
        self._moved = asyncio.Event()

    def changed(self, _parts: object = None) -> None:
        """Print what is new, and let `until` look again."""
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

    def refuse(self, words: str) -> None:
        self.refused += 1
        self.say(f"error: {clean(words)}")

    def tell(self, lines: list[str]) -> None:
        for line in lines:
            self.say(line)

    async def wait_recorded(self, holds: Callable[[], object]) -> None:
        """Wait until the log shows what the host has recorded, for a few seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RECORDED_S):
                await self.until(holds)

    def check(self, action: str) -> None:
        """Raise NotAvailable with the reason if the action is disabled."""
        if reason := disabled_reason(self.state, action):
            raise NotAvailable(f"{reason}.")

    def run_for(self, action: str) -> SessionRun:
        """Return the shown run. Raises NotAvailable if there is none, or the action is disabled."""
        self.check(action)
        if self.state.shown is None:
            raise NotAvailable("there is no run yet.")
        return self.state.shown

    def view_for(self, action: str) -> GridView:
        """Return the view of the shown run. Raises NotAvailable if there is none, or the action is disabled."""
        self.check(action)
        view = self.state.view()
        if view is None:
            raise NotAvailable("there is no grid yet.")
        return view
