"""Runs: queued, stopped, asked for causes, verified."""

import msgspec

from engine.config import EffectsConfig, ProbeConfig
from engine.errors import Failure
from engine.events import Stage
from engine.examples import Example
from engine.planning.preflight import Preflight
from engine.planning.run_options import RunOptions
from sessions.protocol.base import Message, Request
from sessions.rows import RunRow
from sessions.verification.report import VerificationReport


class TaskExamples(msgspec.Struct, frozen=True, kw_only=True):
    """The examples that a ready-made task makes for the run's model."""

    task: str
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs the model can do."""
    task_seed: int = 0
    usable: bool = False
    """Only pairs the model can do."""


class QueueRun(Request, tag="queue_run", frozen=True, kw_only=True):
    """Answered by RunRow as soon as it is recorded. The run uses the session's newest example set, or its task."""

    session: str = ""
    config: ProbeConfig = ProbeConfig()
    model: str | None = None
    """None: the session's."""
    device: str = "auto"
    trust_remote_code: bool = False
    again: str | None = None
    """That run once more, in its session: its examples, config, model and device; what else is said here is not
    looked at."""
    made: TaskExamples | None = None
    """These examples in place of the session's, which stay as they are."""
    usable: bool = False
    """Where the session has no examples yet: of its task's pairs only those the model can do."""
    known: str | None = None
    """Hold the run against this task's known circuit, whoever wrote the examples."""


class ChooseOptions(Request, tag="choose_options", frozen=True, kw_only=True):
    """How the session's next run is to be done, whoever asks for it. Answered by Done."""

    session: str
    options: RunOptions


class GetPreflight(Request, tag="ask_preflight", frozen=True, kw_only=True):
    """What a run would take. Recorded nowhere. Answered by PreflightAnswer, beside other requests."""

    options: RunOptions
    session: str = ""
    """Whose examples it would use, or whose task; empty: those below."""
    examples: tuple[Example, ...] = ()
    task: str | None = None
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs the model can do."""


class PreflightAnswer(Message, tag="preflighted", frozen=True, kw_only=True):
    preflight: Preflight


class CancelRun(Request, tag="cancel_run", frozen=True, kw_only=True):
    run: str
    force: bool = False
    """End the worker itself: for one that hangs."""


class RunAnswer(Message, tag="run", frozen=True, kw_only=True):
    run: RunRow


class MeasureRunEffects(Request, tag="ask_cause", frozen=True, kw_only=True):
    """Measure what the heads of a run that is done do to the answer; nothing is trained again. Answered by Done; what
    is found comes as entries of the run's log, EffectsEnded last. CancelRun stops it."""

    run: str
    config: EffectsConfig
    heads: tuple[tuple[int, int], ...] = ()
    """Only these, for exact patching; none: all."""
    position: str | None = None
    """Where in the prompts heads are replaced (a position policy); None: where the run read them."""
    after: tuple[tuple[int, int], ...] = ()
    """Backups: measure exactly with these replaced, too."""
    after_name: str = ""
    """What they are called. Where `after` is empty: the circuit to take, `circuit` for the run's own, or the name of a
    kept one."""


class FindRun(Request, tag="find_run", frozen=True, kw_only=True):
    """Which run is meant by an id, its beginning, SESSION/2 or latest. Answered by RunAnswer."""

    run: str


class VerifyRun(Request, tag="verify_run", frozen=True, kw_only=True):
    """Do a run again and see whether it comes out the same. Answered by VerificationStarted at once."""

    run: str


class VerificationStarted(Message, tag="verify_job", frozen=True, kw_only=True):
    job: str
    run_id: str
    title: str


class FollowVerification(Request, tag="follow_verify", frozen=True, kw_only=True):
    """How far a verification is. Answered by VerificationState when there is something new, within about a second."""

    job: str
    seen: int = 0
    """The `news` of the last answer."""


class VerificationState(Message, tag="verify_state", frozen=True, kw_only=True):
    """Over as soon as there is a report or a failure."""

    news: int
    stage: Stage | None
    """None: it waits its turn."""
    done: int
    total: int
    unit: str
    report: VerificationReport | None
    failure: Failure | None


class CancelVerification(Request, tag="cancel_verify", frozen=True, kw_only=True):
    job: str
    force: bool = False
