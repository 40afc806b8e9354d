"""The workbench on a recorded session: it looks and moves as ever, and changes nothing."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
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
"""Actions that change nothing of the session."""
_CLOSED = ("replay", "close_up", "tour")
"""Of those, what needs a live session, or a model."""
REPLAY_ACTIONS = screen_actions(
    "Replay",
    ("play", "", "space", "Play or pause", "Play or pause; at the end, from the beginning", "play"),
    ("step.back", "-1", "less_than_sign,comma", "One entry back", "The state before the last entry of the log", ""),
    ("step.on", "1", "greater_than_sign", "One entry on", "The next entry of the log", "step"),
    ("marker.next", "1", "n", "Next marker", "To the next edit, run, cut, note or name", "marker"),
    ("marker.previous", "-1", "N,shift+n", "Previous marker", "To the marker before", ""),
    ("speed.up", "1", "plus,equals_sign", "Faster", "1x to 100x, then as fast as can be shown", "speed"),
    ("speed.down", "-1", "minus,underscore", "Slower", "Down to the pace at which it happened", ""),
    ("edge.start", "'start'", "home", "To the beginning", "To the first entry", ""),
    ("edge.end", "'end'", "end", "To the end", "To the last entry", ""),
    ("close", "", "escape,p", "Back to live", "Leave the replay; the session is as it was", "live"),
)


def open_actions(actions: Sequence[Action], own: Sequence[Action] = REPLAY_ACTIONS) -> list[Action]:
    """Of the workbench's actions those that make sense in a replay, after the replay's own."""
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
    """The panes whose entries come from a player."""

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
        self._gone = False
        state = WorkbenchState(model="", task="")
        link = ReplayLink(state, connect, self.changed, session=session, run=run, speed=speed, driven=driven)
        super().__init__(state, link, depth, clock=self._recorded_s, size=size)
        self.player = link.player
        self.timeline = ReplayTimeline(state, self.player, id="timeline")
        self.keyline = KeyLine(state, self.possible, lambda: self.table)
        self._replay_link = link
        self._plays_at_once, self._start = playing, start

    @property
    def table(self) -> Sequence[Action]:
        found = open_actions(workbench_actions(self.app), with_own_keys(self.app, REPLAY_ACTIONS))
        if not self._narrow:
            return found
        # On a narrow line the replay's own keys come first; measure and cut work all the same.
        return [
            action if action.group in ("Replay", "Program") else msgspec.structs.replace(action, short="")
            for action in found
        ]

    def compose(self) -> ComposeResult:
        yield self.top
        yield self.tabs
        with Horizontal(id="panes"):
            yield self.examples
            yield self.grid
            yield self.head
        yield self.progress
        yield self.timeline
        yield self.keyline

    def on_mount(self) -> None:
        # Textual calls the workbench's own as well.
        run_latest(self, "link", self._follow)

    async def on_unmount(self) -> None:
        self._gone = True
        await self._replay_link.close()

    def changed(self, parts: frozenset[Part]) -> None:
        # The player may have a last word after the screen was put away.
        if not self._gone:
            super().changed(parts)

    async def _follow(self) -> None:
        self.run_worker(self._begin(), group="begin")
        await self._replay_link.run()
        if not self._gone:
            self.draw_now()

    async def _begin(self) -> None:
        await self._replay_link.opened.wait()
        if self._start is not None:
            self.player.seek_moment(start_of(self._start, self.player))
        if self._plays_at_once and not self.player.playing:
            self.player.toggle()

    def _recorded_s(self) -> float:
        return self.player.recorded_us / 1e6 if self._replay_link.opened.is_set() else 0.0

    def _flush(self) -> None:
        if self._gone:
            return
        super()._flush()
        self.timeline.ready = self._replay_link.opened.is_set()
        self.timeline.paint()

    def draw_now(self, parts: frozenset[Part] | None = None) -> None:
        super().draw_now() if parts is None else super().draw_now(parts)

    def possible(self, action: Action) -> bool:
        if action.group != "Replay":
            return super().possible(action)
        return action.id == "close" or self._replay_link.opened.is_set()

    # ---- the replay's own actions

    def _wish(self, name: str, *arguments: int) -> None:
        if self._replay_link.opened.is_set():
            getattr(self.player, name)(*arguments)

    def action_play(self) -> None:
        self._wish("toggle")

    def action_step(self, by: int) -> None:
        self._wish("step", by)

    def action_marker(self, by: int) -> None:
        self._wish("jump", by)

    def action_speed(self, by: int) -> None:
        self._wish("faster", by)

    def action_edge(self, which: str) -> None:
        if self._replay_link.opened.is_set():
            self.player.seek(self.player.span.begin if which == "start" else self.player.span.end)

    def action_close(self) -> None:
        """Back to the live session, or out of the program where a replay is all that was asked for."""
        if self is self.app.screen_stack[0]:
            self.app.exit(return_code=self.link.exit_code)
        else:
            self.dismiss()

    @on(ReplayTimeline.Pointed)
    def _go_there(self, message: ReplayTimeline.Pointed) -> None:
        self.player.seek_moment(message.moment)
