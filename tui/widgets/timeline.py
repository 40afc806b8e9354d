"""The replay's timeline: state, speed and time; and a rail with markers to jump to."""

import math
from bisect import bisect_right

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.strip import Strip

from sessions.rows import Marker, MarkerKind
from tui.actions.key_labels import fill_keys
from tui.replay.player import Player
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import clock, day_clock
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import fit
from tui.widgets.tooltips import tip

_SIGNS: dict[MarkerKind, tuple[str, str]] = {
    "cut": ("·", "dim"),
    "kept": ("k", "good"),
    "note": ("n", "good"),
    "edit": ("e", "accent"),
    "run": ("r", "second"),
}
"""Character and ink by kind; of several markers in one cell the one later in this table is shown."""
_RANK = {kind: place for place, kind in enumerate(_SIGNS)}
_DAY_US = 86_400_000_000


class ReplayTimeline(LineWidget):
    """Two lines: the state, and the rail. A click on the rail goes there."""

    class Pointed(Message):
        """The mouse chose a moment of the replay, in its own microseconds."""

        def __init__(self, moment: float) -> None:
            super().__init__()
            self.moment = moment

    def __init__(self, state: WorkbenchState, player: Player, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.player = player
        self.ready = False
        """True when the player is open."""

    def lines(self, size: Size, /) -> list[Strip]:
        if not self.ready:
            return [self.line().add(" reading the recording …", "dim").strip(), self.line().strip()]
        return [self._words(size.width), self._rail(size.width)]

    def _words(self, width: int) -> Strip:
        player = self.player
        sign, state, ink = _state(player)
        line = (
            self.line().add(f" {sign} ", ink).add(f"{state:<7} ", ink).add(f"{format_speed(player.speed):<5}", "strong")
        )
        line.add(f" {format_clock(player)}", "text").add(f"  {format_elapsed(player)}", "dim")
        before, after = markers_around(player.markers, player.seq)
        room = width - line.width - 4
        following = f"n {fit(clean(after.words), min(room // 2, 40))}" if after is not None else ""
        if room < 30:
            following = ""
        if before is not None:
            line.add("  ").add(fit(clean(before.words), max(room - cell_len(following) - 2, 0)), "text")
        if following:
            line.to(width - cell_len(following) - 1).add(following, "faint")
        return line.strip()

    def _rail(self, width: int) -> Strip:
        player, room = self.player, max(width - 2, 2)
        here = self._column(player.at, room)
        signs: dict[int, MarkerKind] = {}
        for marker in player.markers:
            if marker.kind == "run" and not marker.asked:
                continue  # a run has one marker, where it was requested
            column = self._column(player.clock.played(marker.seq, marker.at_us), room)
            if column not in signs or _RANK[marker.kind] > _RANK[signs[column]]:
                signs[column] = marker.kind
        line = self.line().add(" ")
        start = 0
        for column in sorted({*signs, here}):
            line.add(("━" if column <= here else "─") * (column - start), "accent" if column <= here else "groove")
            if column == here:
                line.add(_SIGNS[signs[column]][0] if column in signs else "┃", "cursor")
            else:
                letter, ink = _SIGNS[signs[column]]
                line.add(letter, ink if column < here else "faint")
            start = column + 1
        line.add("─" * (room - start), "groove")
        return line.strip()

    def _column(self, moment: float, room: int) -> int:
        first, last = self.player.first, self.player.last
        share = (moment - first) / (last - first) if last > first else 1.0
        return min(max(round(share * (room - 1)), 0), room - 1)

    def tip_at(self, _place: Offset, /) -> Content | None:
        keys = "A click on the rail goes there. {replay:play} plays or pauses, {replay:marker.next} jumps to a marker."
        return tip("The recording", fill_keys(keys, self.state.key))

    def on_click(self, event: events.Click) -> None:
        if self.ready and event.y == 1:
            player, room = self.player, max(self.size.width - 2, 2)
            share = min(max((event.x - 1) / (room - 1), 0.0), 1.0)
            self.post_message(self.Pointed(player.first + share * (player.last - player.first)))


def _state(player: Player) -> tuple[str, str, str]:
    if player.playing:
        return "▶", "playing", "good"
    return ("■", "end", "second") if player.over else ("‖", "paused", "second")


def format_speed(speed: float) -> str:
    """Format a replay speed: 10x, or max."""
    return "max" if speed == math.inf else f"{speed:g}x"


def format_clock(player: Player) -> str:
    """Format the recorded time, with the day if the recording spans more than one."""
    several = player.span.end_us - player.span.begin_us > _DAY_US
    return (day_clock if several else clock)(player.recorded_us)


def format_elapsed(player: Player) -> str:
    """Format the elapsed and the total time."""
    passed = max(player.recorded_us - player.span.begin_us, 0)
    return f"{_long(passed)} of {_long(player.span.end_us - player.span.begin_us)}"


def _long(us: float) -> str:
    seconds = max(int(us / 1e6), 0)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def markers_around(markers: list[Marker], seq: int) -> tuple[Marker | None, Marker | None]:
    """Return the last marker up to that entry and the first after it."""
    place = bisect_right(markers, seq, key=lambda marker: marker.seq)
    return markers[place - 1] if place else None, markers[place] if place < len(markers) else None
