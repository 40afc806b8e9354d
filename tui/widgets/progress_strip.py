"""The strip below the panes: stages of the run, losses, and one message."""

import math
import time
from collections.abc import Callable, Sequence

from textual.content import Content
from textual.geometry import Offset, Size
from textual.strip import Strip

from engine.events import Stage, TrainStep
from tui.actions.key_labels import fill_keys
from tui.state.engine_status import blocking_work, format_silence, format_work, silent_work
from tui.state.messages import format_message
from tui.state.node_words import node_noun
from tui.state.notes import list_notes_at
from tui.state.number_text import format_number
from tui.state.recorded_run import format_recorded
from tui.state.time_left import format_time_left, stage_left, stages_of
from tui.state.workbench_state import SessionRun, WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import day
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine, bar, fit, sparkline, wrap
from tui.widgets.tooltips import tip

Clock = Callable[[], float]
ENDED = {
    "done": ("✓", "done", "good"),
    "stopped": ("■", "stopped, results kept", "second"),
    "failed": ("✗", "failed", "bad"),
    "interrupted": ("✗", "interrupted", "bad"),
}
_WIDE = 100
_VERIFIED = {
    "same": "verified, bit for bit",
    "rounding": "verified, up to rounding",
    "differs": "repeated, results differ",
    "impossible": "cannot be repeated",
}


class ProgressStrip(LineWidget):
    """Three lines: stages, losses, message."""

    def __init__(self, state: WorkbenchState, *, clock: Clock = time.time, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.clock = clock

    def lines(self, size: Size, /) -> list[Strip]:
        run = self.state.shown
        first = self.line().add(" ")
        second = self.line().add(" ")
        if run is not None:
            self._stages(first, run, size.width)
            self._losses(second, run, size.width)
        elif self.state.link == "live":
            first.add(f"No run yet: {self.state.key('run')} runs the probe.", "dim")
        text, ink = status_message(self.state, int(self.clock() * 1e6))
        # When and where a run was recorded is worth as much room as an error: two lines replace the losses.
        recorded = run is not None and text == format_recorded(self.state, run)
        rows = wrap(text, size.width - 2, 2 if ink == "bad" or recorded else 1)
        words = [self.line().add(" ").add(row, ink) for row in rows]
        lines = [first, *words] if len(words) > 1 else [first, second, *words]
        return [line.strip() for line in lines]

    def tip_at(self, _place: Offset, /) -> Content | None:
        words = "{progress} shows details: time left, losses, queue. {stop} stops it, {run} runs again."
        return tip("Progress of the run", fill_keys(words, self.state.key)) if self.state.shown is not None else None

    # ---- stages

    def _stages(self, line: StyledLine, run: SessionRun, width: int) -> None:
        waiting = [each for each in self.state.waiting if each is not run]
        behind = f"{len(waiting)} {'run waits' if len(waiting) == 1 else 'runs wait'}   " if waiting else ""
        seconds = self._seconds(run)
        right = behind + (f"{seconds} in all" if seconds and not run.active and width >= _WIDE else seconds)
        room = width - len(right) - 3
        line.add(f"run {run.number}", "strong").add(fit(f" {clean(run.name)}", 24) if run.name else "", "second")
        line.add(" ✎" if list_notes_at(self.state, "run") else "", "accent").add("  ")
        if run.state == "queued":
            work = blocking_work(self.state, run)
            words = f"waiting for {format_work(work, int(self.clock() * 1e6))}" if work is not None else ""
            line.add(fit(words or "waiting for the engine", max(room - line.width, 0)), "dim")
            line.to(width - len(right) - 1).add(right, "dim")
            return
        over = dict(run.picture.seconds)
        ending, ink = self._ending(run)
        short = room < 96
        # How the run ended has priority over seconds; the progress screen shows them all.
        whole = sum(len(_over(stage, over[stage])) for stage in stages_of(run) if stage in over)
        verified = f"  {_VERIFIED[run.verified.verdict]}" if run.verified is not None and not run.active else ""
        timed = run.active or line.width + whole + 2 + len(ending + verified) <= room
        if run.active and run.picture.stage is None and not over:
            # The engine process reports nothing while it starts and imports.
            line.add("▸ engine starting ", "second")
            self._travel(line, max(min(30, room - line.width - 2), 8))
            line.to(width - len(right) - 1).add(right, "dim")
            return
        for stage in stages_of(run):
            asked = stage == "cause" and run.cause is not None and run.picture.stage is None
            if stage == run.picture.stage or asked:
                stages = stages_of(run)
                later = 0 if short else sum(len(_ahead(each)) for each in stages[stages.index(stage) + 1 :])
                self._under_way(line, run, stage, room - later)
            elif stage in over:
                words = "✓ " if short else _over(stage, over[stage]) if timed else f"✓ {stage}  "
                line.add(words, "good" if short else "dim")
            elif not short and line.width + len(_ahead(stage)) <= room:
                line.add(_ahead(stage), "faint")
        if not run.active:
            line.add(fit(f" {ending}" if short else ending, room - line.width), ink)
            if run.verified is not None:
                line.add(fit(verified, room - line.width), "good" if run.verified.verdict == "same" else "second")
        line.to(width - len(right) - 1).add(right, "dim")

    def _ending(self, run: SessionRun) -> tuple[str, str]:
        """Return how the run ended and its ink; empty while it is active."""
        if run.active:
            return "", "dim"
        sign, words, ink = ENDED[run.state]
        if run.recorded is not None:
            words += f", recorded {day(run.recorded_us)}"
        if ink == "bad":
            does = "repeats it" if self.state.can_retry else "runs the current examples"
            words += f": {self.state.key('run')} {does}"
        return f"{sign} {words}", ink

    def _under_way(self, line: StyledLine, run: SessionRun, stage: Stage, room: int) -> None:
        """Add the bar of the current stage, as long as count, time left and later stages allow."""
        picture = run.picture
        line.add(f"▸ {stage} ", "second")
        left = format_time_left(stage_left(run, self.state.runs, int(self.clock() * 1e6)))
        left = f"{left}  " if left else ""
        counted = picture.stage == stage and picture.stage_total > 1
        count = f" {picture.stage_done}/{picture.stage_total} " if counted else "  "
        unit = f"{clean(picture.stage_unit)}  " if counted else ""
        free = room - line.width - len(count)
        if free < 8 + len(unit) + len(left):
            unit, left = "", left if free >= 8 + len(left) else ""
        length = max(min(30, free - len(unit) - len(left)), 8)
        if counted:
            done, rest = bar(picture.stage_done / picture.stage_total, length)
            line.add(done, "accent").add(rest, "groove").add(count, "text").add(unit, "dim")
        else:
            self._travel(line, length)
        line.add(left, "second")

    def _travel(self, line: StyledLine, length: int) -> None:
        """Add an indeterminate progress bar."""
        at = int(self.clock() * 4) % (length - 2)
        line.add("─" * at, "groove").add("━━━", "accent").add("─" * (length - 3 - at), "groove").add("  ")

    def _seconds(self, run: SessionRun) -> str:
        return "" if run.started_us is None else f"{run.seconds(int(self.clock() * 1e6)):.1f} s"

    # ---- losses

    def _losses(self, line: StyledLine, run: SessionRun, width: int) -> None:
        steps = run.picture.steps
        if not steps:
            return
        last = steps[-1]
        line.add("loss ", "dim")
        losses = [total_loss(last, seed) for seed in range(len(last.reconstruction))]
        for loss in losses[: max((width - 40) // 8, 1)]:
            if loss is None:
                line.add("not finite ", "bad")
            else:
                line.add(f"{format_number(loss, 5)} ", "text")
        line.add(f"{len(losses)} seeds  " if len(losses) > 1 else " ", "faint")
        length = min(max(width - line.width - 44, 0), 40)
        line.add(sparkline(mean_losses(steps), length), "accent").add("  ")
        moving = max(last.moving, default=0)
        if run.active and run.picture.stage == "train":
            heads = f"{moving} {node_noun(moving, others=run.config.nodes == 'all')}"
            words = f"codes still changing in {heads}" if moving else "codes have settled"
            line.add(fit(words, width - line.width - 1), "second" if moving else "good")
        else:
            line.add(fit(f"{last.step} of {last.total} steps", width - line.width - 1), "dim")


def total_loss(step: TrainStep, seed: int) -> float | None:
    """Return reconstruction plus sparsity loss; None if not finite."""
    error, sparsity = step.reconstruction[seed], step.sparsity[seed]
    if error is None or sparsity is None or not math.isfinite(error + sparsity):
        return None
    return error + sparsity


def mean_losses(steps: Sequence[TrainStep]) -> list[float]:
    """Return the mean loss over seeds per report; reports without a finite loss are skipped."""
    means = []
    for step in steps:
        losses = [loss for seed in range(len(step.reconstruction)) if (loss := total_loss(step, seed)) is not None]
        if losses:
            means.append(sum(losses) / len(losses))
    return means


def format_seconds(seconds: float) -> str:
    """Format a duration: 3.2 s, or .04 s below one second."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s".removeprefix("0")


def _ahead(stage: Stage) -> str:
    return f"· {stage}  "


def _over(stage: Stage, seconds: float) -> str:
    return f"✓ {stage} {format_seconds(seconds)}  "


def status_message(state: WorkbenchState, now_us: int) -> tuple[str, str]:
    """Return the most important message now, and its ink."""
    run = state.shown
    if state.link in ("lost", "failed") and state.link_words:
        return state.link_words, "bad" if state.link == "failed" else "second"
    if state.trouble:
        return state.trouble, "bad"
    if state.failure is not None:
        return format_message(state.failure), "bad"
    if run is not None and run.failure is not None and run.state != "stopped":
        return format_message(run.failure), "bad"
    if run is not None and run.cause_failure is not None:
        return format_message(run.cause_failure), "bad"
    if run is not None and run.verify_failure is not None:
        return format_message(run.verify_failure), "bad"
    if run is not None and state.stopping == run.run_id and (run.active or run.cause or run.verifying):
        return f"Stopping … {state.key('stop')} again stops the engine.", "second"
    if state.verifying:
        return state.verifying, "second"
    if (silent := silent_work(state)) is not None:
        return format_silence(state, silent, now_us), "bad"
    if run is not None and not run.active:
        for note in list_notes_at(state, "run")[:1]:
            return f"✎ {note.text}", "second"
    if run is not None and run.verified is not None and run.verified.verdict in ("differs", "impossible"):
        return run.verified.words, "bad"
    if run is not None and run.picture.notices:
        notice = run.picture.notices[-1]
        return format_message(notice), "second"
    if run is not None and run.recorded is not None and not run.active:
        return format_recorded(state, run), "second"
    for note in list_notes_at(state, "session")[:1]:
        return f"✎ {note.text}", "dim"
    if state.preflight is not None and state.link == "live" and (run is None or not run.active):
        ahead = state.preflight
        if ahead.fits and ahead.time_words:
            # The time comes first, because a narrow line is cut off at its end.
            text = f"fits, {ahead.time_words}; {ahead.memory_words.removeprefix('fits: ')}"
            if ahead.missing_words:
                return f"The next run {ahead.missing_words}; {text}", "second"
            return f"The next run {text}", "dim"
        return f"The next run {ahead.words}", "bad" if ahead.fits is False else "dim"
    return state.link_words, "dim"
