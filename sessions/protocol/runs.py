"""Requests that queue, cancel, measure and verify runs."""

import msgspec

from engine.config import DEFAULTS, EffectsConfig, LoadOptions, ProbeConfig
from engine.examples import Example
from engine.planning.preflight import Preflight
from engine.planning.run_options import RunOptions
from sessions.protocol.base import Message, Request
from sessions.rows import ListedRun, RunRow
from sessions.verification.report import VerificationReport


class TaskExamples(msgspec.Struct, frozen=True, kw_only=True):
    """The examples that a built-in task generates for the run's model."""

    task: str
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs that the model answers correctly."""
    task_seed: int = 0
    usable: bool = False
    """Only pairs that the model answers correctly."""


class QueueRun(LoadOptions, Request, tag="queue_run", frozen=True, kw_only=True):
    """Queue a run. Answered by RunAnswer as soon as it is recorded.

    The run uses the session's newest example set, or its task.
    """

    session: str = ""
    config: ProbeConfig = DEFAULTS
    model: str | None = None
    """None: the session's."""
    again: str | None = None
    """Repeat that run in its session: its examples, config, model and load options. Other fields are ignored."""
    made: TaskExamples | None = None
    """Use these examples in place of the session's, which are not changed."""
    usable: bool = False
    """If the session has no examples yet: only pairs of its task that the model answers correctly."""
    known: str | None = None
    """Compare the run with this task's known circuit, whatever the origin of the examples."""


class ChooseOptions(Request, tag="choose_options", frozen=True, kw_only=True):
    """Set the options of the session's next run, for every client. Answered by Done."""

    session: str
    options: RunOptions


class GetPreflight(Request, tag="ask_preflight", frozen=True, kw_only=True):
    """Estimate what a run needs.

    Nothing is recorded. Answered by PreflightAnswer, concurrently with other requests.
    """

    options: RunOptions
    session: str = ""
    """The session whose examples or task the run would use; empty: those below."""
    examples: tuple[Example, ...] = ()
    task: str | None = None
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs that the model answers correctly."""


class PreflightAnswer(Message, tag="preflighted", frozen=True, kw_only=True):
    """What a run needs."""

    preflight: Preflight


class CancelRun(Request, tag="cancel_run", frozen=True, kw_only=True):
    """Stop a run, or the effect measurement or verification of it. Answered by Done."""

    run: str
    force: bool = False
    """End the worker process: for a job that hangs."""


class RunAnswer(Message, tag="run", frozen=True, kw_only=True):
    """One run."""

    run: RunRow


class MeasureRunEffects(Request, tag="ask_cause", frozen=True, kw_only=True):
    """Measure the effects of a finished run's heads on the answer; nothing is trained.

    Answered by Done. The results are entries of the run's log, EffectsEnded last. CancelRun stops the measurement.
    """

    run: str
    config: EffectsConfig
    heads: tuple[tuple[int, int], ...] = ()
    """Only these heads, for exact patching; empty: all."""
    position: str | None = None
    """The position policy for replacing heads; None: the positions that the run read."""
    after: tuple[tuple[int, int], ...] = ()
    """Backup heads: measure exactly, with these replaced as well."""
    after_name: str = ""
    """A name for them.

    If `after` is empty: the circuit to use, `circuit` for the run's own, or the name of a saved one.
    """
    edges: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    """Measure these edges exactly, (source, target), and nothing else."""


class FindRun(Request, tag="find_run", frozen=True, kw_only=True):
    """Resolve an id, its beginning, SESSION/2, its name or latest to a run. Answered by RunAnswer."""

    run: str


class LabelRun(Request, tag="label_run", frozen=True, kw_only=True):
    """Name and tag a run. Answered by RunAnswer."""

    run: str
    name: str | None = None
    """None: as it is; empty: none. Two runs of a session cannot have the same name."""
    add: tuple[str, ...] = ()
    """Tags to add."""
    remove: tuple[str, ...] = ()


class ListRuns(Request, tag="list_runs", frozen=True, kw_only=True):
    """List runs. Answered by RunsAnswer."""

    session: str | None = None
    """None: of all sessions outside the trash."""
    tag: str | None = None
    limit: int = 50
    """At most 10,000 are returned."""
    with_before: bool = False
    """With the run before each, to say what differs."""


class RunsAnswer(Message, tag="runs", frozen=True, kw_only=True):
    """Runs, the newest first."""

    runs: tuple[ListedRun, ...]


class VerifyRun(Request, tag="verify_run", frozen=True, kw_only=True):
    """Repeat a run and compare the results with the stored ones. Answered by VerificationStarted at once.

    Progress and result are entries of the run's log, VerificationEnded last. CancelRun stops the verification.
    """

    run: str


class VerificationStarted(Message, tag="verify_job", frozen=True, kw_only=True):
    """The verification was queued."""

    run_id: str
    session_id: str
    title: str
    after_seq: int
    """Its entries of the session's log come after this one."""


class GetVerification(Request, tag="get_verification", frozen=True, kw_only=True):
    """Return the report of the run's last completed verification by this host. Answered by VerificationAnswer."""

    run: str


class VerificationAnswer(Message, tag="verification", frozen=True, kw_only=True):
    """The report of a verification, check by check."""

    report: VerificationReport
