"""What the host is told, or asked, when the keys rest: options, looks, and what the next run would take."""

import asyncio
import contextlib

import msgspec

from engine.errors import HeadcodeError
from engine.planning.run_options import RunOptions
from sessions.events import ViewChanged
from sessions.protocol import ChooseOptions, Done, GetPreflight, PreflightAnswer, SetView
from tui.connection.requests import Asking, Changed, Host
from tui.state.workbench_state import Bench

_OPTIONS_S = 0.5
_AHEAD_S = 0.15
"""What is changed within this is asked about once."""
_LOOK_S = 1.0
"""Changes of measure and cut that follow each other this closely are recorded as one."""


class Resting(Asking):
    """A held key would have the host record or reckon every step of it; the last one is enough."""

    def __init__(self, bench: Bench, changed: Changed) -> None:
        super().__init__(bench, changed)
        self._looks: dict[str, ViewChanged] = {}
        self._look_timer: asyncio.TimerHandle | None = None
        self._looked_ahead: object = None
        self._options_timer: asyncio.TimerHandle | None = None

    async def tell_all(self) -> None:
        """Tells what still waits; returns when the host has heard it."""
        self._tell_looks()
        self.keep_options()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def choose_options(self, options: RunOptions) -> None:
        """How the next run is to be done; recorded when nothing more is changed for half a second."""
        bench = self.bench
        bench.own_options = None if options == bench.kept.options else options
        if self._options_timer is not None:
            self._options_timer.cancel()
        self._options_timer = asyncio.get_running_loop().call_later(_OPTIONS_S, self.keep_options)
        self._changed(frozenset({"progress"}))
        self.look_ahead()

    def keep_options(self) -> None:
        """Has what was chosen recorded now."""
        if self._options_timer is not None:
            self._options_timer.cancel()
            self._options_timer = None
        bench = self.bench
        if bench.own_options is None or bench.session_id is None or self._host is None:
            return
        told = msgspec.structs.replace(bench.own_options, trust_remote_code=False)
        if told != bench.kept.options:
            request = ChooseOptions(session=bench.session_id, options=told)
            self._spawn(self._tell_look(self._host, request))

    def look_ahead(self) -> None:
        """Asks what the next run would take, where that may have changed since it was last asked."""
        bench, host = self.bench, self._host
        if bench.session_id is None or host is None:
            return
        ended = sum(not run.active for run in bench.runs)
        about = (bench.session_id, bench.options, bench.kept.examples.content_hash, ended)
        if about != self._looked_ahead:
            self._looked_ahead = about
            self._spawn(self._look_ahead(host, about))

    async def _look_ahead(self, host: Host, about: object) -> None:
        await asyncio.sleep(_AHEAD_S)
        bench = self.bench
        if about != self._looked_ahead or bench.session_id is None:
            return
        with contextlib.suppress(HeadcodeError, OSError, EOFError):
            request = GetPreflight(session=bench.session_id, options=bench.options)
            answer = await host.ask(request, PreflightAnswer)
            if about == self._looked_ahead:
                bench.preflight = answer.preflight
                self._changed(frozenset({"progress"}))

    def keep_look(self) -> None:
        """Has the host record how the shown run is looked at: the last of what changes within a second.

        So a replay shows the same cuts at the same moments, and a screen opened later begins with the last one.
        """
        run, look = self.bench.shown, self.bench.look_now()
        if run is not None and look is not None:
            self._looks[run.run_id] = look
            if self._look_timer is None:
                self._look_timer = asyncio.get_running_loop().call_later(_LOOK_S, self._tell_looks)

    def _tell_looks(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        looks, self._looks = self._looks, {}
        host = self._host
        for run_id, look in looks.items():
            if host is not None:
                self._spawn(self._tell_look(host, SetView(run=run_id, look=look)))

    async def _tell_look(self, host: Host, request: SetView | ChooseOptions) -> None:
        # A cut that is not recorded is no loss worth a word: the next one will be.
        with contextlib.suppress(HeadcodeError, OSError, EOFError):
            await host.ask(request, Done)
