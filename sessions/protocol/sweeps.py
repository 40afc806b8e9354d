"""Requests about sweeps: estimate, start, follow, stop, try again, gather."""

import msgspec

from engine.sweeps.births import BirthTable
from engine.sweeps.plan import SweepPlan
from engine.sweeps.run_measures import RunMeasures
from sessions.protocol.base import Message, Request
from sessions.rows import SweepRow, SweepUnitRow


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sweep runs, in detail."""

    address: str = ""
    """Of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for a new one on this machine.

    Empty: the environment's RAY_ADDRESS, a cluster of this machine, or a new one.
    """
    slurm: dict[str, str] = {}
    """Options of sbatch, without dashes; `folder` is one that all nodes see."""


class EstimateSweep(Request, tag="estimate_sweep", frozen=True, kw_only=True):
    """Estimate what a sweep needs, and what of it is done. Nothing is recorded. Answered by SweepEstimate."""

    plan: SweepPlan
    workers: int | None = None
    """None: as many as fit."""
    on: str = "local"
    settings: ExecutorSettings = ExecutorSettings()


class SweepGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Units with the same model and source of examples."""

    model: str
    source: str
    units: int
    left: int
    """Units without a finished run."""
    peak_bytes: int | None
    """Most memory of a worker; None: nothing is known of the model."""
    seconds: float | None
    """Of one unit on a warm worker, the mean; None: unknown."""
    trouble: str = ""


class SweepEstimate(Message, tag="sweep_estimate", frozen=True, kw_only=True):
    """What a sweep needs."""

    units: int
    done: int
    """Units with a finished run, which are not computed again."""
    groups: tuple[SweepGroup, ...]
    more_groups: int
    """Groups that are not listed."""
    workers: int
    """Workers that it would use here."""
    why: str
    """What limits them."""
    free_bytes: int | None
    hours: float | None
    """Of each worker, for what is left; None: unknown."""
    sbatch: str = ""
    """For Slurm: what would be submitted."""


class StartSweep(Request, tag="start_sweep", frozen=True, kw_only=True):
    """Record a sweep and run what of it is not done. A sweep of that name is continued. Answered by SweepAnswer."""

    plan: SweepPlan
    on: str = "local"
    """An executor of sessions.sweeps.executors."""
    workers: int | None = None
    """None: as many as fit."""
    settings: ExecutorSettings = ExecutorSettings()


class RetrySweep(Request, tag="retry_sweep", frozen=True, kw_only=True):
    """Run again the units of a sweep that have no finished run. Answered by SweepAnswer."""

    sweep: str
    """Its name, its id or a unique beginning of it, or latest."""
    failed: bool = False
    """Only those that failed."""
    on: str = "local"
    workers: int | None = None
    settings: ExecutorSettings = ExecutorSettings()


class ListSweeps(Request, tag="list_sweeps", frozen=True, kw_only=True):
    """Return all sweeps. Answered by SweepsAnswer."""


class SweepsAnswer(Message, tag="sweeps", frozen=True, kw_only=True):
    """All sweeps, the most recently planned first."""

    sweeps: tuple[SweepRow, ...]
    active: tuple[str, ...]
    """Ids of those under way."""


class GetSweep(Request, tag="get_sweep", frozen=True, kw_only=True):
    """Return a sweep with its units. Answered by SweepDetail."""

    sweep: str


class SweepDetail(Message, tag="sweep_detail", frozen=True, kw_only=True):
    """A sweep with its units."""

    sweep: SweepRow
    units: tuple[SweepUnitRow, ...]
    """In the order in which they were planned."""
    progress: "SweepProgress"


class GetSweepMeasures(Request, tag="get_sweep_measures", frozen=True, kw_only=True):
    """Return what the finished runs of a sweep found. Answered by SweepMeasures."""

    sweep: str
    measure: str = ""
    """A measure of nodes (engine.measures); empty: none."""
    node: str = ""
    """The node whose value is wanted; empty: all of them."""


class SweepMeasures(Message, tag="sweep_measures", frozen=True, kw_only=True):
    """What the finished runs of a sweep found."""

    nodes: tuple[str, ...]
    """Heads, then the others; empty without a measure."""
    runs: tuple[RunMeasures, ...]
    """One per finished run; units that share a run have one."""


class GetBirths(Request, tag="get_births", frozen=True, kw_only=True):
    """Return when nodes came over the checkpoints of a sweep. Answered by SweepBirths, concurrently: fits take time."""

    sweep: str
    measure: str = ""
    """Of nodes; empty: exact effects where all finished runs have them, else the measure that ranks nodes."""


class SweepBirths(Message, tag="sweep_births", frozen=True, kw_only=True):
    """The births of a sweep over checkpoints."""

    sweep: SweepRow
    tables: tuple[BirthTable, ...]
    """One per combination of the axes besides checkpoint and draw; empty: it has no checkpoints with a step."""


class FollowSweep(Request, tag="follow_sweep", frozen=True, kw_only=True):
    """Wait for news of a sweep.

    Answered by SweepAnswer, concurrently with other requests: as soon as there is other news than `seen`, or after some
    seconds.
    """

    sweep: str
    seen: int = -1
    """The `news` of the last answer; -1: answer at once."""


class SweepWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of a sweep, and what it does."""

    name: str
    where: str
    run_id: str | None = None
    """None: nothing at the moment."""
    unit: str = ""
    """The labels of its unit, as text."""
    stage: str = ""
    done: int = 0
    total: int = 0


class UnitProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that did not finish, and why."""

    unit: str
    """Its labels, as text."""
    run_id: str
    message: str
    hint: str = ""
    again: bool = False
    """It is being tried again."""


class SweepProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sweep is."""

    news: int
    """Grows with every change."""
    active: bool
    on: str = ""
    """The executor that runs it; empty: none does."""
    units: int = 0
    """Of this start: those that were to be run."""
    done: int = 0
    """Of this start."""
    failed: int = 0
    """Of this start: those that will not be tried again."""
    workers: tuple[SweepWorker, ...] = ()
    problems: tuple[UnitProblem, ...] = ()
    """The newest last."""
    left_s: float | None = None
    """Seconds left, from the pace so far; None: unknown."""


class SweepAnswer(Message, tag="sweep", frozen=True, kw_only=True):
    """A sweep and how far it is."""

    sweep: SweepRow
    progress: SweepProgress


class CancelSweep(Request, tag="cancel_sweep", frozen=True, kw_only=True):
    """Stop a sweep; finished units stay. Answered by SweepAnswer once nothing of it runs."""

    sweep: str


class GatherSweep(Request, tag="gather_sweep", frozen=True, kw_only=True):
    """Take the files that units left in a folder into the sweep. Answered by SweepGathered."""

    sweep: str
    folder: str


class SweepGathered(Message, tag="sweep_gathered", frozen=True, kw_only=True):
    """What was gathered."""

    sweep: SweepRow
    new: int
    known: int
    """Units that had a finished run already."""
    refused: tuple[str, ...]
    """Files that are no units of this sweep, each with the reason."""
