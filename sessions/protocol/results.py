"""Requests for the results of a run: its codes, one head, the log for replay and the log as it grows."""

import msgspec

from engine.protocol import CodeWrites
from engine.results import ModelInfo
from sessions.events import DrawingChanged, LogEntry, ViewChanged
from sessions.protocol.base import Message, Request
from sessions.rows import HeadCodes, Timeline


class GetCodes(Request, tag="get_codes", frozen=True, kw_only=True):
    """Return one head's codes. Answered by CodesAnswer."""

    run: str
    layer: int
    head: int
    seed: int | None = None
    """None: the run's first seed."""


class CodesAnswer(Message, tag="codes", frozen=True, kw_only=True):
    """One head's codes."""

    codes: HeadCodes


class GetHeadInspection(Request, tag="look_at_head", frozen=True, kw_only=True):
    """Inspect one head of a run on one of its prompts with the run's model.

    Nothing is recorded. Answered by HeadInspection, concurrently with other requests.
    """

    run: str
    layer: int
    head: int
    example: int
    """Index into the run's examples, from 0."""
    seed: int | None = None
    """The seed whose codes are used; None: the run's first."""


class HeadInspection(Message, tag="head_look", frozen=True, kw_only=True):
    """The head on the prompt, and its codes with what they write; `code` is the prompt's own."""

    model: ModelInfo
    tokens: tuple[str, ...]
    skipped: int
    """Tokens of the prompt before the first of these."""
    strength: tuple[float, ...]
    attention: tuple[tuple[float, ...], ...]
    code: int | None
    """None if the run stored no codes."""
    writes: tuple[CodeWrites, ...]


class SetView(Request, tag="set_look", frozen=True, kw_only=True):
    """Record the measure and circuit size with which the user looks at this run from now on. Answered by Done."""

    run: str
    look: ViewChanged


class SetDrawing(Request, tag="set_drawing", frozen=True, kw_only=True):
    """Record how the edges of this run are drawn from now on. Answered by Done."""

    run: str
    drawing: DrawingChanged


class FindAlike(Request, tag="find_alike", frozen=True, kw_only=True):
    """Find those of the nodes that behave alike: the same codes on the same prompts (docs/method.md 5).

    Nothing is recorded. Answered by AlikeNodes.
    """

    run: str
    nodes: tuple[tuple[int, int], ...]


class AlikeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that all agree with each other."""

    nodes: tuple[tuple[int, int], ...]
    agreement: float
    """The least agreement of any two; 0 is chance, 1 the same codes."""


class AlikeNodes(Message, tag="alike", frozen=True, kw_only=True):
    """The groups, the largest first; nodes like no other are in none."""

    groups: tuple[AlikeGroup, ...]


class Subscribe(Request, tag="subscribe", frozen=True, kw_only=True):
    """Follow a session's log.

    Answered by Subscribed, then Pushed batches: all entries after `after_seq`, old ones first, then new ones.

    A later Refused with the same id ends the subscription: new entries can no longer be recorded.
    """

    session: str
    after_seq: int = 0
    run: str | None = None
    """Only entries of this run (and of the session itself)."""


class Subscribed(Message, tag="subscribed", frozen=True, kw_only=True):
    """The subscription was made."""

    session_id: str
    last_seq: int


class Unsubscribe(Request, tag="unsubscribe", frozen=True, kw_only=True):
    """End a subscription. Answered by Done."""

    subscription: int
    """The id of the request that subscribed."""


class ReadLog(Request, tag="read_log", frozen=True, kw_only=True):
    """Read a piece of a session's log for replay.

    Answered by LogPiece; ask again after its `up_to` for more.
    """

    session: str
    after_seq: int = 0
    up_to: int | None = None
    """None: the whole log."""
    up_to_us: int | None = None
    """Only entries recorded up to this time."""
    condensed: bool = False
    """Leave out entries that later ones, up to `up_to`, replace completely: the folded state is the same."""
    most_bytes: int = 1 << 20
    """0: no entries, only `goal`. Otherwise at least one entry, however large."""


class LogPiece(Message, tag="log_piece", frozen=True, kw_only=True):
    """A piece of a session's log."""

    session_id: str
    entries: tuple[LogEntry, ...]
    up_to: int
    """Every entry up to this one is included, or replaced by one that is."""
    goal: int
    """The last entry that was requested; if it is past `up_to`, there is more to read."""
    last_seq: int
    """The session's last entry at the time of reading."""


class ReadTimeline(Request, tag="read_timeline", frozen=True, kw_only=True):
    """Return the timeline of a session. Answered by TimelineAnswer."""

    session: str
    """A session or a run; for a run the answer names it."""
    pause_us: int = 3_000_000
    """Longer stretches without an entry are listed."""


class TimelineAnswer(Message, tag="times", frozen=True, kw_only=True):
    """The timeline of a session."""

    times: Timeline
