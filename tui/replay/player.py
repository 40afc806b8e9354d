"""Plays a recorded session into a state: recorded entries are folded like live ones."""

import asyncio
import contextlib
import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import takewhile
from typing import NamedTuple

from engine.errors import HeadcodeError
from sessions.condense import condensed
from sessions.errors import NoSuchRecord
from sessions.events import LogEntry
from sessions.rows import Marker, Timeline
from tui.replay.clock import ReplayClock
from tui.replay.pages import LogArchive, LogPages
from tui.state.workbench_state import Part, StateSnapshot, WorkbenchState

SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, math.inf)
"""inf: as fast as it can be drawn."""
_TICK_S = 0.1
_MOST_S = 1.0
"""Maximum step after the process was held up."""
_AT_ONCE = 64
"""Entries folded between two frames at unlimited speed."""
_FRAMES = 100
_FRAME_ENTRIES = 64
"""Minimum number of entries between two snapshots."""
_NEAR = 4 * _FRAME_ENTRIES
_PIECE_BYTES = 4 << 20
_MOST_PIECES = 16
"""Pieces of the condensed log used for snapshots; later moments are reached more slowly."""

Changed = Callable[[frozenset[Part]], None]


class ReplaySpan(NamedTuple):
    """A stretch of a session, from the state after entry `begin` to the one after `end`."""

    begin: int
    end: int
    begin_us: int
    end_us: int


def span_of(times: Timeline, run: str | None = None) -> ReplaySpan:
    """Return the span of the session, or of one run by id or number. Raises NoSuchRecord."""
    if run is None:
        return ReplaySpan(min(1, times.last_seq), times.last_seq, times.first_us, times.last_us)
    of_run = [marker for marker in times.markers if marker.kind == "run" and run in (marker.run_id, str(marker.number))]
    if not of_run:
        raise NoSuchRecord(
            f"Session {times.session.name!r} has no run {run}.",
            hint=f"It has {times.session.n_runs}: headcode sessions show {times.session.session_id}",
        )
    begin = of_run[0]
    end = next((marker for marker in of_run if marker.ends), None)
    if end is None:
        return ReplaySpan(begin.seq, times.last_seq, begin.at_us, times.last_us)
    return ReplaySpan(begin.seq, end.seq, begin.at_us, end.at_us)


class Player:
    """Position of a replay and its movement. Call `open` first; `play` moves, all other methods only request."""

    def __init__(
        self,
        state: WorkbenchState,
        archive: LogArchive,
        changed: Changed = lambda _parts: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        speed: float = 1.0,
        driven: bool = False,
    ) -> None:
        self.state = state
        self.driven = driven
        """Whether `roll` sets the time from outside: a film is not recorded in real time."""
        self.playing = False
        self.speed = speed
        self.failure: HeadcodeError | None = None
        """Why it stopped; the next request is tried anyway."""
        self.times: Timeline
        self.clock: ReplayClock
        self.span: ReplaySpan
        self.markers: list[Marker] = []
        """Markers within the span."""
        self.at = 0.0
        """Microseconds of replay since the session's first entry."""
        self._archive = archive
        self._changed = changed
        self._now = clock
        self._then = 0.0
        self._pages: LogPages
        self._frames: list[StateSnapshot] = []
        self._frames_made: asyncio.Task[None] | None = None
        self._goal: int | None = None
        self._goal_moment: float | None = None
        self._stepping = False
        self._wake = asyncio.Event()
        self._arrived = asyncio.Event()
        self._marks: list[int] = []

    async def open(self, *, run: str | None = None) -> None:
        """Read the timeline and go to the start of the session or of the run (id or number). Raises HeadcodeError."""
        times = self.times = await self._archive.times()
        self.clock, self.span = ReplayClock(times), span_of(times, run or times.run_id)
        self._pages = LogPages(self._archive, times.last_seq)
        state = self.state
        state.session_id, state.session_name = times.session.session_id, times.session.name
        state.model, state.task = times.session.model, times.session.task
        self._frames = [state.freeze()]
        self.markers = [marker for marker in times.markers if self.span.begin <= marker.seq <= self.span.end]
        self._marks = [marker.seq for marker in self.markers]
        await self._go(self.span.begin, near=self.span.begin == 1)

    def prepare(self) -> None:
        """Start making the snapshots that jumps need, so that the first jump does not wait."""
        made = self._frames_made
        if made is None or (made.done() and (made.cancelled() or made.exception() is not None)):
            self._frames_made = asyncio.create_task(self._make_frames())

    async def close(self) -> None:
        if self._frames_made is not None:
            self._frames_made.cancel()
            await asyncio.gather(self._frames_made, return_exceptions=True)
        self._pages.close()

    @property
    def seq(self) -> int:
        return self.state.last_seq

    @property
    def over(self) -> bool:
        return self.seq >= self.span.end

    @property
    def recorded_us(self) -> int:
        """The recorded wall-clock time."""
        return self.clock.recorded(self.at)

    @property
    def first(self) -> float:
        """The replay time at which the span begins."""
        return self.clock.played(self.span.begin, self.span.begin_us)

    @property
    def last(self) -> float:
        return self.clock.played(self.span.end, self.span.end_us)

    # ---- wishes

    def toggle(self) -> None:
        """Play or pause; at the end, play from the start."""
        if not self.playing and self.over:
            self.seek(self.span.begin)
        self.playing, self._then = not self.playing, self._now()
        self._asked()

    def pause(self) -> None:
        self.playing = False
        self._asked()

    def faster(self, by: int) -> None:
        """Choose the next higher (1) or lower (-1) speed."""
        place = bisect_left(SPEEDS, self.speed) + by
        self.speed = SPEEDS[min(max(place, 0), len(SPEEDS) - 1)]
        self._asked()

    def step(self, by: int) -> None:
        """Step one entry forwards or back and pause."""
        self.playing = False
        self.seek(self._here + by)
        self._stepping = True

    def jump(self, by: int) -> None:
        """Jump to the next marker (1) or the previous one (-1)."""
        place = bisect_right(self._marks, self._here) if by > 0 else bisect_left(self._marks, self._here) - 1
        if 0 <= place < len(self._marks):
            self.seek(self._marks[place])
        else:
            self.seek(self.span.end if by > 0 else self.span.begin)

    def seek(self, seq: int) -> None:
        """Go to the state after that entry."""
        self._goal, self._goal_moment = min(max(seq, self.span.begin), self.span.end), None
        self._stepping = False
        self._asked()

    def seek_moment(self, played: float) -> None:
        """Go to a moment of the replay, in microseconds."""
        self._goal, self._goal_moment = None, min(max(played, self.first), self.last)
        self._asked()

    async def roll(self, played: float) -> bool:
        """Fold all entries up to a moment of a driven replay; return whether there were any."""
        before = self.seq
        while not self.over:
            entries = await self._pages.after(self.seq)
            due = list(takewhile(lambda each: each.seq <= self.span.end and self._moment(each) <= played, entries))
            self._changed(self.state.fold(due) | {"time"})
            if len(due) < len(entries) or not entries:
                break
        self.at = min(max(played, self.at), self.last)
        return self.seq != before

    async def arrived(self) -> None:
        """Wait until no jump is in progress, whether it succeeded or not."""
        await self._arrived.wait()

    @property
    def _here(self) -> int:
        """The position from which the next request counts; a jump in progress counts as done."""
        return self.seq if self._goal is None else self._goal

    def _asked(self) -> None:
        if self._goal is not None or self._goal_moment is not None:
            self._arrived.clear()
        self._wake.set()
        self._changed(frozenset({"time"}))

    # ---- moving

    async def play(self) -> None:
        """Play and jump as requested, until cancelled. A failure is stored in `failure` and pauses it."""
        self._then = self._now()
        while True:
            self._wake.clear()
            wait: float | None = None
            try:
                await self._jump_as_asked()
                wait = await self._advance()
            except HeadcodeError as error:
                self.failure, self.playing, self._goal, self._goal_moment = error, False, None, None
                self._changed(frozenset({"time", "progress"}))
            if self._goal is None and self._goal_moment is None:
                self._arrived.set()
            if wait == 0:
                await asyncio.sleep(0)
            else:
                # Not wait_for: in Python 3.11 it loses a cancellation that arrives together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()

    async def _jump_as_asked(self) -> None:
        while self._goal is not None or self._goal_moment is not None:
            goal, moment, near = self._goal, self._goal_moment, self._stepping
            if goal is None:
                assert moment is not None
                goal = await self._seq_at(moment)
            await self._go(goal, near=near)
            if (self._goal, self._goal_moment) == (None, moment) and goal < self.span.end:
                self.at = max(self.at, moment or 0.0)
            if (self._goal, self._goal_moment) in ((goal, None), (None, moment)):
                self._goal = self._goal_moment = None

    async def _advance(self) -> float | None:
        """Fold the entries that are due; return the seconds until the next one, or None to wait for a request."""
        if self.over and self.playing:
            self.playing = False
            self._changed(frozenset({"time"}))
        if not self.playing or self.driven:
            return None
        waits = not self._pages.is_read(self.seq)
        entries = await self._pages.after(self.seq)
        now = self._now()
        # Time spent on reading is not skipped.
        passed = 0.0 if waits else min(now - self._then, _MOST_S)
        self._then = now
        entries = [entry for entry in entries if entry.seq <= self.span.end]
        if not entries:
            self.playing = False
            return None
        if self.speed == math.inf:
            due = entries[:_AT_ONCE]
        else:
            self.at += passed * 1e6 * self.speed
            due = list(takewhile(lambda entry: self._moment(entry) <= self.at, entries))
        parts = self.state.fold(due)
        rest = len(due) < len(entries)
        if due and (self.speed == math.inf or not rest):
            # The clock does not run past what has been read.
            self.at = self._moment(due[-1]) if self.speed == math.inf else min(self.at, self._moment(due[-1]))
        self._changed(parts | {"time"})
        if not rest or self.speed == math.inf:
            return 0.0
        wait = (self._moment(entries[len(due)]) - self.at) / 1e6 / self.speed
        return min(max(wait, 0.005), _TICK_S)

    async def _go(self, seq: int, *, near: bool) -> None:
        """Restore the state after that entry. `near`: the next request will probably be close to it."""
        frame = self._frame(seq)
        entries = self._pages.span(frame.last_seq, seq)
        if entries is None and seq - frame.last_seq > _NEAR:
            self.prepare()
            assert self._frames_made is not None
            await asyncio.shield(self._frames_made)
            frame = self._frame(seq)
            entries = self._pages.span(frame.last_seq, seq)
        if entries is None and near and seq - frame.last_seq <= _NEAR:
            await self._pages.fetch(frame.last_seq, seq)
            entries = self._pages.span(frame.last_seq, seq)
        if entries is None:
            entries = await self._read_condensed(frame.last_seq, seq)
        # No await from here on: a jump happens completely or not at all.
        parts = self.state.rewind(frame, condensed(entries))
        self.failure = None
        self.at = self.clock.played(seq, self.state.saved_us) if self.state.saved_us is not None else 0.0
        self._then = self._now()
        self._changed(parts)

    async def _read_condensed(self, after_seq: int, up_to: int) -> list[LogEntry]:
        found: list[LogEntry] = []
        while after_seq < up_to:
            piece = await self._archive.piece(
                after_seq=after_seq, up_to=up_to, condensed=True, most_bytes=4 * _PIECE_BYTES
            )
            found += piece.entries
            after_seq = piece.up_to
        return found

    async def _seq_at(self, played: float) -> int:
        """Return the last entry recorded by that moment."""
        recorded = self.clock.recorded(played)
        piece = await self._archive.piece(after_seq=self.span.begin, up_to_us=recorded, most_bytes=0)
        return min(max(piece.goal, self.span.begin), self.span.end)

    def _frame(self, seq: int) -> StateSnapshot:
        return self._frames[bisect_right([frame.last_seq for frame in self._frames], seq) - 1]

    async def _make_frames(self) -> None:
        """Make snapshots between runs from the condensed log in one pass, so that every jump is short.

        Only between runs, as the condensed log lacks entries from the middle of a run.
        """
        state = WorkbenchState(model=self.state.model, task="")
        state.session_id = self.state.session_id
        state.rewind(self._frames[0])
        last = self.times.last_seq
        least = max(_FRAME_ENTRIES, last // _FRAMES)
        frames, after_seq = [self._frames[0]], 0
        for _ in range(_MOST_PIECES):
            if after_seq >= last:
                break
            piece = await self._archive.piece(after_seq=after_seq, up_to=last, condensed=True, most_bytes=_PIECE_BYTES)
            after_seq = piece.up_to
            for entry in piece.entries:
                state.fold((entry,))
                if state.last_seq - frames[-1].last_seq >= least and not any(each.under_way for each in state.runs):
                    frames.append(state.freeze())
            await asyncio.sleep(0)
        self._frames = frames

    def _moment(self, entry: LogEntry) -> float:
        return self.clock.played(entry.seq, entry.at_us)
