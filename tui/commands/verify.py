"""`headcode verify`: repeat a stored run and compare the results."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from engine.events import Stage
    from sessions.protocol import VerificationState
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
    from sessions.protocol import (
        CancelVerification,
        Done,
        FollowVerification,
        VerificationStarted,
        VerificationState,
        VerifyRun,
    )
    from tui.headless.interrupt import stop_on_interrupt
    from tui.headless.watch_engine import watch_engine

    async with await HostClient.connect(find_folders()) as client:
        if client.welcome.notice:
            reporter.say(f"note: {client.welcome.notice}")
        job = await client.ask(VerifyRun(run=run), VerificationStarted)
        reporter.say(f"repeating {job.title} without the cache")
        states = _VerifyReporter(reporter)
        seen = 0
        with stop_on_interrupt(
            lambda force: client.ask(CancelVerification(job=job.job, force=force), Done), reporter.say
        ):
            async with watch_engine(client, job.run_id, reporter.say):
                while True:
                    state = await client.ask(FollowVerification(job=job.job, seen=seen), VerificationState)
                    seen = state.news
                    states.report(state)
                    if state.report is not None:
                        return state.report
                    if state.failure is not None:
                        raise error_from(state.failure)


class _VerifyReporter:
    """Convert verification states into the events a reporter takes."""

    def __init__(self, reporter: "ProgressReporter") -> None:
        self.reporter = reporter
        self.stage: Stage | None = None
        self.begun = 0.0

    def report(self, state: "VerificationState") -> None:
        from engine.events import StageFinished, StageProgress, StageStarted

        if state.stage != self.stage or state.report is not None:
            if self.stage is not None:
                seconds = round(time.monotonic() - self.begun, 2)
                self.reporter.event(StageFinished(stage=self.stage, seconds=seconds))
            self.stage, self.begun = None if state.report is not None else state.stage, time.monotonic()
            if self.stage is not None:
                self.reporter.event(StageStarted(stage=self.stage, total=state.total, unit=state.unit))
        if self.stage is not None and state.total:
            self.reporter.event(StageProgress(stage=self.stage, done=state.done, total=state.total))
