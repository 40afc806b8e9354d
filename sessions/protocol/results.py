"""What a run found: its codes, one head, the log as it was and as it grows."""

from engine.results import CodeWrites, ModelInfo
from sessions.events import LogEntry, ViewChanged
from sessions.protocol.base import Message, Request
from sessions.rows import HeadCodes, Timeline


class GetCodes(Request, tag="get_codes", frozen=True, kw_only=True):
    run: str
    layer: int
    head: int
    seed: int | None = None
    """None: the run's first."""


class CodesAnswer(Message, tag="codes", frozen=True, kw_only=True):
    codes: HeadCodes


class GetHeadInspection(Request, tag="look_at_head", frozen=True, kw_only=True):
    """Inspect one head of a run on one of its prompts with the run's model.

    Nothing is recorded. Answered by HeadInspection, concurrently with other requests.
    """

    run: str
    layer: int
    head: int
    example: int
    """Counted from 0 in the run's set."""
    seed: int | None = None
    """Whose codes; None: the run's first."""


class HeadInspection(Message, tag="head_look", frozen=True, kw_only=True):
    """The head on the prompt, and its codes with what they write; `code` is the prompt's own."""

    model: ModelInfo
    tokens: tuple[str, ...]
    skipped: int
    """Tokens of the prompt before the first of these."""
    strength: tuple[float, ...]
    attention: tuple[tuple[float, ...], ...]
    code: int | None
    """None where the run kept no codes."""
    writes: tuple[CodeWrites, ...]


class SetView(Request, tag="set_look", frozen=True, kw_only=True):
    """A person looks at this run by another measure, or with another cut, from now on. Answered by Done."""

    run: str
    look: ViewChanged


class Subscribe(Request, tag="subscribe", frozen=True, kw_only=True):
    """Answered by Subscribed, then Pushed batches: all entries after `after_seq`, old ones first, then live ones.

    A later Refused with the same id ends it: what happens can no longer be recorded.
    """

    session: str
    after_seq: int = 0
    run: str | None = None
    """Only entries of this run (and of the session itself)."""


class Subscribed(Message, tag="subscribed", frozen=True, kw_only=True):
    session_id: str
    last_seq: int


class Unsubscribe(Request, tag="unsubscribe", frozen=True, kw_only=True):
    """No more of what was subscribed to. Answered by Done."""

    subscription: int
    """The id of the Ask that subscribed."""


class ReadLog(Request, tag="read_log", frozen=True, kw_only=True):
    """A piece of a session's log, for replay. Answered by LogPiece; ask again after its `up_to` for more."""

    session: str
    after_seq: int = 0
    up_to: int | None = None
    """None: all there is."""
    up_to_us: int | None = None
    """At most what was recorded by that time."""
    condensed: bool = False
    """Without the entries that later ones, up to `up_to`, replace wholly: folding gives the same picture."""
    most_bytes: int = 1 << 20
    """0: no entries, only `goal`. Else at least one, however large."""


class LogPiece(Message, tag="log_piece", frozen=True, kw_only=True):
    session_id: str
    entries: tuple[LogEntry, ...]
    up_to: int
    """Every entry up to here is among the entries, or replaced by one that is."""
    goal: int
    """The last entry that was asked for; where it is past `up_to`, there is more to ask for."""
    last_seq: int
    """Of the session, when this was read."""


class ReadTimeline(Request, tag="read_timeline", frozen=True, kw_only=True):
    """Answered by TimelineAnswer."""

    session: str
    """Or a run; the answer then says which."""
    pause_us: int = 3_000_000
    """Stretches without an entry that are longer are listed."""


class TimelineAnswer(Message, tag="times", frozen=True, kw_only=True):
    times: Timeline
