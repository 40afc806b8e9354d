"""`headcode verify`: repeat a stored run and compare the results."""

import contextlib
import time
from typing import TYPE_CHECKING, Annotated, cast

import typer

from engine.errors import Cancelled
from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from engine.events import Stage
    from sessions.client.connection import HostClient
    from sessions.events import LogEntry, VerificationEnded, VerificationProgress
    from sessions.protocol import VerificationStarted
    from sessions.verification.report import VerificationReport
    from tui.output.progress import ProgressReporter


def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    as_json: JsonOption = False,
    color: ColourOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr while it runs.")] = False,
) -> None:
    """Repeat a stored run and check that the results are the same.

    Exit code 0: identical, or equal up to rounding. Exit code 1: different, or it cannot be repeated.
    """
    import asyncio

    from tui.output.console import detect_style, print_json
    from tui.output.progress import make_reporter
    from tui.output.verification import print_report, report_json

    output = detect_style(color)
    with make_reporter(quiet=quiet, color=color) as reporter:
        report = asyncio.run(_verify(run, reporter))
    if as_json:
        print_json(report_json(report))
    else:
        print_report(report, output)
    if report.verdict not in ("same", "rounding"):
        raise typer.Exit(1)


async def _verify(run: str, reporter: "ProgressReporter") -> "VerificationReport":
    """Verify a run and return the report. Raises Refusal, HostError, or Cancelled after Ctrl+C."""
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient
    from sessions.errors import error_from
    from sessions.protocol import CancelRun, Done, GetVerification, VerificationAnswer, VerificationStarted, VerifyRun
    from tui.headless.interrupt import stop_on_interrupt
    from tui.headless.watch_engine import watch_engine

    async with await HostClient.connect(find_folders()) as client:
        if client.welcome.notice:
            reporter.say(f"note: {client.welcome.notice}")
        started = await client.ask(VerifyRun(run=run), VerificationStarted)
        reporter.say(f"repeating {started.title} without the cache")
        with stop_on_interrupt(
            lambda force: client.ask(CancelRun(run=started.run_id, force=force), Done), reporter.say
        ):
            async with watch_engine(client, started.run_id, reporter.say):
                ended = await _follow(client, started, _StageReporter(reporter))
        if ended.state == "stopped":
            raise Cancelled
        if ended.failure is not None:
            raise error_from(ended.failure)
        return (await client.ask(GetVerification(run=started.run_id), VerificationAnswer)).report


async def _follow(
    client: "HostClient", started: "VerificationStarted", stages: "_StageReporter"
) -> "VerificationEnded":
    """Report the progress of the verification from the log; return how it ended. Raises HostError."""
    from sessions.errors import HostError
    from sessions.events import VerificationEnded, VerificationProgress

    follow = client.follow(started.session_id, after_seq=started.after_seq, run=started.run_id)
    async with contextlib.aclosing(cast("AsyncGenerator[tuple[LogEntry, ...]]", follow)) as batches:
        async for entries in batches:
            for entry in entries:
                if entry.run_id == started.run_id and isinstance(entry.event, VerificationProgress):
                    stages.report(entry.event)
                elif entry.run_id == started.run_id and isinstance(entry.event, VerificationEnded):
                    stages.finish()
                    return entry.event
    raise HostError("The host's log ended before the verification did.", hint="headcode host log says why.")


class _StageReporter:
    """Converts progress of a verification into the events that a reporter takes."""

    def __init__(self, reporter: "ProgressReporter") -> None:
        self.reporter = reporter
        self.stage: Stage | None = None
        self.begun = 0.0

    def report(self, at: "VerificationProgress") -> None:
        from engine.events import StageProgress, StageStarted

        if at.stage != self.stage:
            self.finish()
            self.stage, self.begun = at.stage, time.monotonic()
            self.reporter.event(StageStarted(stage=at.stage, total=at.total, unit=at.unit))
        if at.total:
            self.reporter.event(StageProgress(stage=at.stage, done=at.done, total=at.total))

    def finish(self) -> None:
        """Report the end of the current stage."""
        from engine.events import StageFinished

        if self.stage is not None:
            self.reporter.event(StageFinished(stage=self.stage, seconds=round(time.monotonic() - self.begun, 2)))
        self.stage = None
