"""Replay of a recorded session on a read-only workbench."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Size

from tui.actions import ACTIONS, Action, screen_actions, with_own_keys, workbench_actions
from tui.connection.requests import Connect
from tui.replay.link import ReplayLink
from tui.replay.start_point import start_of
from tui.screens.panes import PanesScreen
from tui.state.workbench_state import Part, WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.action_keys import make_bindings
from tui.widgets.key_line import KeyLine
from tui.widgets.latest_worker import run_latest
from tui.widgets.timeline import ReplayTimeline

OPEN_GROUPS = ("Look", "Mark", "Move", "Panes", "Program")
"""Groups of actions that do not change the session."""
_CLOSED = ("replay", "tour")
"""Actions of those groups that need a live session. Those that need a model say so (tui.state.disabled_reasons)."""
REPLAY_ACTIONS = screen_actions(
    "Replay",
    ("play", "", "space", "Play or pause", "Play or pause; at the end, play from the start", "play"),
    ("step.back", "-1", "less_than_sign,comma", "One entry back", "The state before the last log entry", ""),
    ("step.on", "1", "greater_than_sign", "One entry forward", "The next log entry", "step"),
    ("marker.next", "1", "n", "Next marker", "To the next edit, run, cut, note or name", "marker"),
    ("marker.previous", "-1", "N,shift+n", "Previous marker", "To the previous marker", ""),
    ("speed.up", "1", "plus,equals_sign", "Faster", "1x to 100x, then as fast as possible", "speed"),
    ("speed.down", "-1", "minus,underscore", "Slower", "Down to the original speed", ""),
    ("edge.start", "'start'", "home", "To the beginning", "To the first entry", ""),
    ("edge.end", "'end'", "end", "To the end", "To the last entry", ""),
    ("close", "", "escape,p", "Back to live", "Leave the replay; the session is unchanged", "live"),
)


def open_actions(actions: Sequence[Action], own: Sequence[Action] = REPLAY_ACTIONS) -> list[Action]:
    """Return the replay's own actions and the workbench actions available in a replay."""
    taken = {key for action in own for key in action.keys}
    return [
        *own,
        *(
            action
            for action in actions
            if action.group in OPEN_GROUPS and action.id not in _CLOSED and not taken.intersection(action.keys)
        ),
    ]


class ReplayScreen(PanesScreen, inherit_bindings=False):
    """The screen; its events come from a player."""

    BINDINGS: ClassVar[list[BindingType]] = make_bindings(open_actions(ACTIONS))

    def __init__(
        self,
        connect: Connect,
        depth: Depth,
        *,
        session: str,
        size: Size,
        run: str | None = None,
        speed: float = 1.0,
        playing: bool = True,
        start: str | None = None,
        driven: bool = False,
    ) -> None:
        state = WorkbenchState(model="", task="")
        link = ReplayLink(state, connect, self._changed, session=session, run=run, speed=speed, driven=driven)
        super().__init__(state, link, depth, clock=self._recorded_s, size=size)
        self.player = link.player
        self.timeline = ReplayTimeline(state, self.player, id="timeline")
        self.keyline = KeyLine(state, self.is_enabled, lambda: self.table)
        self._replay_link = link
        self._plays_at_once, self._start = playing, start

    @property
    def table(self) -> Sequence[Action]:
        found = open_actions(workbench_actions(self.app), with_own_keys(self.app, REPLAY_ACTIONS))
        if not self._narrow:
            return found
        # A narrow key line shows only the replay's own keys; measure and cut still work.
        return [
            action if action.group in ("Replay", "Program") else msgspec.structs.replace(action, short="")
            for action in found
        ]

    def below(self) -> ComposeResult:
        yield self.timeline

    def on_mount(self) -> None:
        # Textual also calls the handler of PanesScreen.
        run_latest(self, "link", self._follow)

    async def on_unmount(self) -> None:
        # The player may still send a change after the screen was closed.
        self.drawing.closed = True
        await self._replay_link.close()

    def _changed(self, parts: frozenset[Part]) -> None:
        self.drawing.soon(parts)

    async def _follow(self) -> None:
        self.run_worker(self._begin(), group="begin")
        await self._replay_link.run()
        self.drawing.now()

    async def _begin(self) -> None:
        await self._replay_link.opened.wait()
        if self._start is not None:
            self.player.seek_moment(start_of(self._start, self.player))
        if self._plays_at_once and not self.player.playing:
            self.player.toggle()

    def _recorded_s(self) -> float:
        return self.player.recorded_us / 1e6 if self._replay_link.opened.is_set() else 0.0

    def paint_more(self) -> None:
        self.timeline.ready = self._replay_link.opened.is_set()
        self.timeline.paint()

    def disabled_reason(self, action: Action) -> str:
        if action.group != "Replay":
            return super().disabled_reason(action)
        return "" if action.id == "close" or self._replay_link.opened.is_set() else "the recording is not open yet"

    # ---- actions

    def _control(self, control: Callable[..., None], *arguments: int) -> None:
        if self._replay_link.opened.is_set():
            control(*arguments)

    def action_play(self) -> None:
        self._control(self.player.toggle)

    def action_step(self, by: int) -> None:
        self._control(self.player.step, by)

    def action_marker(self, by: int) -> None:
        self._control(self.player.jump, by)

    def action_speed(self, by: int) -> None:
        self._control(self.player.faster, by)

    def action_edge(self, which: str) -> None:
        if self._replay_link.opened.is_set():
            self.player.seek(self.player.span.begin if which == "start" else self.player.span.end)

    def action_close(self) -> None:
        """Return to the live session, or quit if only a replay was requested."""
        if self is self.app.screen_stack[0]:
            self.app.exit(return_code=self.link.exit_code)
        else:
            self.dismiss()

    @on(ReplayTimeline.Pointed)
    def _go_there(self, message: ReplayTimeline.Pointed) -> None:
        self.player.seek_moment(message.moment)
