"""Requests sent once the keys are idle: options, views, and the preflight of the next run."""

import asyncio
import contextlib

import msgspec

from engine.errors import HeadcodeError
from engine.planning.run_options import RunOptions
from sessions.events import ViewChanged
from sessions.protocol import ChooseOptions, Done, GetPreflight, PreflightAnswer, SetDrawing, SetView
from tui.connection.requests import Changed, HostRequests
from tui.state.workbench_state import WorkbenchState

_OPTIONS_S = 0.5
_AHEAD_S = 0.15
"""Changes within this time lead to one preflight request."""
_LOOK_S = 1.0
"""Changes of measure and cut within this time are recorded as one."""


class IdleSync(HostRequests):
    """Records options and views, and requests preflights, after a pause: a held key would send every step."""

    def __init__(self, state: WorkbenchState, changed: Changed) -> None:
        super().__init__(state, changed)
        self._looks: dict[str, ViewChanged] = {}
        self._view_timer: asyncio.TimerHandle | None = None
        self._drawing_timer: asyncio.TimerHandle | None = None
        self._preflight_asked: object = None
        self._options_timer: asyncio.TimerHandle | None = None

    async def flush(self) -> None:
        """Send everything that is pending; return when the host has recorded it."""
        self._send_views()
        self._send_drawings()
        self.record_options()
        await asyncio.gather(*self._background, return_exceptions=True)

    def choose_options(self, options: RunOptions) -> None:
        """Set the options of the next run; they are recorded after half a second without changes."""
        state = self.state
        state.own_options = None if options == state.session.options else options
        if self._options_timer is not None:
            self._options_timer.cancel()
        self._options_timer = asyncio.get_running_loop().call_later(_OPTIONS_S, self.record_options)
        self._changed(frozenset({"progress"}))
        self.fetch_preflight()

    def record_options(self) -> None:
        """Record the chosen options now."""
        if self._options_timer is not None:
            self._options_timer.cancel()
            self._options_timer = None
        state = self.state
        if state.own_options is None or state.session_id is None or self._host is None:
            return
        options = msgspec.structs.replace(state.own_options, trust_remote_code=False)
        if options != state.session.options:
            request = ChooseOptions(session=state.session_id, options=options)
            self._spawn(self._send(request))

    def fetch_preflight(self) -> None:
        """Request the preflight of the next run if its inputs have changed."""
        state = self.state
        if state.session_id is None or self._host is None:
            return
        ended = sum(not run.active for run in state.runs)
        about = (state.session_id, state.options, state.session.examples.content_hash, ended)
        if about != self._preflight_asked:
            self._preflight_asked = about
            self._spawn(self._fetch_preflight(about))

    async def _fetch_preflight(self, about: object) -> None:
        await asyncio.sleep(_AHEAD_S)
        state = self.state
        if about != self._preflight_asked or state.session_id is None:
            return
        with contextlib.suppress(HeadcodeError):
            request = GetPreflight(session=state.session_id, options=state.options)
            answer = await self.ask(request, PreflightAnswer)
            if about == self._preflight_asked:
                state.preflight = answer.preflight
                self._changed(frozenset({"progress"}))

    def record_view(self) -> None:
        """Record the view of the shown run, once per second at most.

        A replay then shows the same cuts at the same moments, and a screen opened later starts with the last one.
        """
        run, look = self.state.shown, self.state.current_look()
        if run is not None and look is not None:
            self._looks[run.run_id] = look
            if self._view_timer is None:
                self._view_timer = asyncio.get_running_loop().call_later(_LOOK_S, self._send_views)

    def record_drawing(self) -> None:
        """Record how the edges of the shown run are drawn, after a second without changes at most."""
        if self._drawing_timer is None and self.state.link == "live":
            self._drawing_timer = asyncio.get_running_loop().call_later(_LOOK_S, self._send_drawings)

    def _send_drawings(self) -> None:
        if self._drawing_timer is not None:
            self._drawing_timer.cancel()
            self._drawing_timer = None
            for run_id, drawing in self.state.own_drawings.items():
                self._spawn(self._send(SetDrawing(run=run_id, drawing=drawing)))

    def _send_views(self) -> None:
        if self._view_timer is not None:
            self._view_timer.cancel()
            self._view_timer = None
        looks, self._looks = self._looks, {}
        for run_id, look in looks.items():
            self._spawn(self._send(SetView(run=run_id, look=look)))

    async def _send(self, request: SetView | SetDrawing | ChooseOptions) -> None:
        # A view that could not be recorded is no loss: the next one will be.
        with contextlib.suppress(HeadcodeError):
            await self.ask(request, Done)
