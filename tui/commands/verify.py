"""`headcode verify`: a run done again from what is stored, and held against what it was."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from engine.events import Stage
    from sessions.protocol import VerificationState
    from sessions.verification.report import VerificationReport
    from tui.output.progress import Narrator


def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or its beginning, latest.")],
    as_json: JsonOption = False,
    color: ColourOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr while it runs.")] = False,
) -> None:
    """Do a run again from what is stored and say whether it comes out the same.

    Exit 0: the same, bit for bit or to rounding. Exit 1: it differs, or cannot be done again.
    """
    import asyncio

    from tui.output.console import find_paper, print_json
    from tui.output.progress import make_narrator
    from tui.output.verification import print_report, report_json

    paper = find_paper(color)
    with make_narrator(quiet=quiet, color=color) as narrator:
        report = asyncio.run(_verify(run, narrator))
    if as_json:
        print_json(report_json(report))
    else:
        print_report(report, paper)
    if report.verdict not in ("same", "rounding"):
        raise typer.Exit(1)


async def _verify(run: str, narrator: "Narrator") -> "VerificationReport":
    """Raises Refusal, HostError, or Cancelled after Ctrl+C."""
    from engine.machine.folders import find_places
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
    from tui.headless.interrupt import brake
    from tui.headless.watch_engine import watched

    async with await HostClient.connect(find_places()) as client:
        if client.welcome.notice:
            narrator.say(f"note: {client.welcome.notice}")
        job = await client.ask(VerifyRun(run=run), VerificationStarted)
        narrator.say(f"{job.title} once more, nothing of it from the cache")
        told = _Told(narrator)
        seen = 0
        with brake(lambda force: client.ask(CancelVerification(job=job.job, force=force), Done), narrator.say):
            async with watched(client, job.run_id, narrator.say):
                while True:
                    state = await client.ask(FollowVerification(job=job.job, seen=seen), VerificationState)
                    seen = state.news
                    told.tell(state)
                    if state.report is not None:
                        return state.report
                    if state.failure is not None:
                        raise error_from(state.failure)


class _Told:
    """Turns states into the events a narrator knows."""

    def __init__(self, narrator: "Narrator") -> None:
        self.narrator = narrator
        self.stage: Stage | None = None
        self.begun = 0.0

    def tell(self, state: "VerificationState") -> None:
        from engine.events import StageFinished, StageProgress, StageStarted

        if state.stage != self.stage or state.report is not None:
            if self.stage is not None:
                seconds = round(time.monotonic() - self.begun, 2)
                self.narrator.event(StageFinished(stage=self.stage, seconds=seconds))
            self.stage, self.begun = None if state.report is not None else state.stage, time.monotonic()
            if self.stage is not None:
                self.narrator.event(StageStarted(stage=self.stage, total=state.total, unit=state.unit))
        if self.stage is not None and state.total:
            self.narrator.event(StageProgress(stage=self.stage, done=state.done, total=state.total))
