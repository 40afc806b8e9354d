"""Details of a run: stages with times, losses per seed, changing codes, the queue."""

import math
from collections.abc import Callable

from textual.geometry import Size
from textual.strip import Strip

from engine.events import Stage
from engine.planning.option_text import format_config
from tui.state.engine_status import blocking_work, format_work
from tui.state.node_words import node_noun
from tui.state.number_text import format_number
from tui.state.time_left import format_time_left, run_left, stage_left, stages_of, usual_seconds
from tui.state.workbench_state import SessionRun, WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_chart import add_row, draw_curve, value_range
from tui.widgets.line_widget import ScrollingLineWidget
from tui.widgets.progress_strip import ENDED, format_seconds, total_loss
from tui.widgets.styled_line import StyledLine, bar, fit, sparkline

_CHART = 22
"""Minimum columns of one seed's chart."""
_GAP = 3
_CONFIG = 38
"""Column of a run's settings in the list."""
_STATES = {"queued": ("·", "queued", "dim"), "running": ("▸", "running", "second")} | {
    state: (sign, "stopped" if state == "stopped" else words, ink) for state, (sign, words, ink) in ENDED.items()
}


class RunPane(ScrollingLineWidget):
    """All details from top to bottom; scrolls."""

    def __init__(self, state: WorkbenchState, clock: Callable[[], float], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.clock = clock
        self.chosen = 0

    @property
    def listed(self) -> list[SessionRun]:
        """The running run, the queued ones, and the last three that ended."""
        open_ = [run for run in self.state.runs if run.active]
        ended = [run for run in reversed(self.state.runs) if not run.active][:3]
        return [*open_, *ended]

    def lines(self, size: Size, /) -> list[Strip]:
        run = self.state.shown
        if run is None:
            return [self.line().add(f" No run yet: {self.state.key('run')} runs the probe.", "dim").strip()]
        lines = [*self._stages(run, size.width), self.line()]
        lines += self._chart(run, size)
        lines += self._moving(run, size.width)
        lines += [self.line(), *self._queue(size.width)]
        return [line.strip().crop(0, size.width) for line in lines]

    # ---- stages

    def _stages(self, run: SessionRun, width: int) -> list[StyledLine]:
        now_us = int(self.clock() * 1e6)
        over, picture = dict(run.picture.seconds), run.picture
        lines = []
        for stage in stages_of(run):
            line = self.line()
            if stage == picture.stage:
                line.add(" ▸ ", "second").add(f"{stage:<9}", "strong")
                self._bar(line, run, width)
                left = format_time_left(stage_left(run, self.state.runs, now_us))
                line.add(f"  {left}" if left else "", "second")
            elif stage in over:
                line.add(" ✓ ", "good").add(f"{stage:<9}", "text").add(f"{format_seconds(over[stage]):>8}", "dim")
                line.add(f"  {self._amount(run, stage)}", "faint")
            else:
                usual = usual_seconds(run, self.state.runs, stage) if run.active else None
                line.add(" · ", "faint").add(f"{stage:<9}", "faint")
                line.add(f"{'about ' + format_seconds(usual):>14}" if usual is not None else "", "faint")
            lines.append(line)
        return [*lines, self._whole(run, now_us)]

    def _bar(self, line: StyledLine, run: SessionRun, width: int) -> None:
        picture = run.picture
        length = max(min(48, width - line.width - 46), 10)
        if picture.stage_total > 1:
            done, rest = bar(picture.stage_done / picture.stage_total, length)
            line.add(done, "accent").add(rest, "groove")
            line.add(f" {picture.stage_done}/{picture.stage_total} ", "text").add(clean(picture.stage_unit), "dim")
        else:
            at = int(self.clock() * 4) % (length - 2)
            line.add("─" * at, "groove").add("━━━", "accent").add("─" * (length - 3 - at), "groove")

    def _amount(self, run: SessionRun, stage: Stage) -> str:
        picture = run.picture
        if stage == "load":
            return "already loaded" if picture.warm else ""
        if stage in ("capture", "grade", "codes"):
            cached = picture.finished is not None and picture.finished.cached and stage == "capture"
            return f"{len(picture.examples)} prompts" + (", cached" if cached else "")
        if stage == "train" and picture.steps:
            return f"{picture.steps[-1].step} steps, {len(run.config.seeds)} seeds"
        shuffles = run.config.shuffles
        return f"{shuffles} shuffles" if stage == "scores" and shuffles is not None else ""

    def _whole(self, run: SessionRun, now_us: int) -> StyledLine:
        line = self.line()
        if run.started_us is None:
            work = blocking_work(self.state, run)
            return line.add(f"   waiting for {format_work(work, now_us) if work is not None else 'the engine'}", "dim")
        if run.active:
            left = format_time_left(run_left(run, self.state.runs, now_us))
            line.add("   so far  ", "faint").add(format_seconds(run.seconds(now_us)), "text")
            return line.add(f"   in all {left}" if left else "", "second")
        sign, words, ink = ENDED[run.state]
        return line.add(f" {sign} {words}", ink).add(f"  in {format_seconds(run.seconds(now_us))}", "dim")

    # ---- losses

    def _chart(self, run: SessionRun, size: Size) -> list[StyledLine]:
        steps = run.picture.steps
        if not steps:
            return [self.line().add("   no loss yet: shown as soon as the SAEs train", "faint")]
        n = len(steps[-1].reconstruction)
        curves = [
            [total_loss(step, seed) if seed < len(step.reconstruction) else None for step in steps] for seed in range(n)
        ]
        span = value_range(curves)
        room = size.width - 2
        across = max(1, min(n, (room + _GAP) // (_CHART + _GAP)))
        width = min((room + _GAP) // across - _GAP, 60)
        spare = size.height - len(stages_of(run)) - len(self.listed) - 8
        height = min(max(spare // math.ceil(n / across) - 2, 3), 9)
        share = steps[-1].step / max(steps[-1].total, 1) if run.active else 1.0
        kind = "log scale" if span[2] else ""
        head = (
            self.line()
            .add(" loss", "strong")
            .add(f"  {format_number(span[1], 5)} to {format_number(span[0], 5)} ", "dim")
        )
        lines = [head.add(kind, "faint")]
        for first in range(0, n, across):
            seeds = range(first, min(first + across, n))
            title = self.line().add(" ")
            for place, seed in enumerate(seeds):
                title.to(1 + place * (width + _GAP))
                name = run.config.seeds[seed] if seed < len(run.config.seeds) else seed
                last = curves[seed][-1]
                value = "not finite" if last is None else format_number(last, 5)
                title.add(f"seed {name} ", "dim").add(value, "bad" if last is None else "text")
            rows = [self.line().add(" ") for _ in range(height)]
            for place, seed in enumerate(seeds):
                canvas = draw_curve(curves[seed], width, height, span=span, share=share)
                for y, row in enumerate(rows):
                    row.to(1 + place * (width + _GAP))
                    add_row(row, canvas, y)
            base = self.line().add(" ")
            for place, _ in enumerate(seeds):
                base.to(1 + place * (width + _GAP)).add("─" * width, "groove")
            lines += [title, *rows, base]
        return lines

    def _moving(self, run: SessionRun, width: int) -> list[StyledLine]:
        """Make the line on heads whose codes still change between reports; none when training has settled."""
        steps = run.picture.steps
        if len(steps) < 2:
            return []
        reports = steps[1:]  # at the first report all codes are new
        line = self.line().add(" codes ", "strong")
        line.add(sparkline([max(step.moving, default=0) for step in reports], min(40, max(width - 48, 8))), "accent")
        last = reports[-1].moving
        most = max(last, default=0)
        if not most:
            return [line.add(f"  have settled in every {node_noun(1, others=run.config.nodes == 'all')}", "good")]
        heads = node_noun(most, others=run.config.nodes == "all")
        line.add(f"  still changing in {most} {heads}", "second")
        each = f"  per seed {', '.join(str(count) for count in last)}" if len(last) > 1 else ""
        return [line.add(fit(each, max(width - line.width - 1, 0)), "faint")]

    # ---- queue

    def _queue(self, width: int) -> list[StyledLine]:
        runs = self.listed
        waiting = len(self.state.waiting)
        words = f"{waiting} queued" if waiting else f"queue empty: {self.state.key('progress:run')} queues a run"
        lines = [self.line().add(" runs", "strong").add(f"  {words}", "dim")]
        self.chosen = min(max(self.chosen, 0), max(len(runs) - 1, 0))
        for place, run in enumerate(runs):
            on = place == self.chosen
            sign, state, ink = _STATES[run.state]
            line = self.line().add("▸" if on else " ", "accent")
            line.add(f" {sign} run {run.number:<3}", "strong" if on else "text")
            line.add(f" {state:<10} ", ink)
            line.add(fit(clean(run.model), 14), "dim").to(_CONFIG)
            line.add(f"{fit(clean(run.name), 24)}  " if run.name else "", "second")
            lines.append(line.add(fit(format_config(run.config), max(width - line.width - 1, 0)), "faint"))
        others = (self.state.worker.queued if self.state.worker is not None else 0) - waiting
        work = self.state.worker.at_work if self.state.worker is not None else None
        if work is not None and all(run.run_id != work.run_id for run in self.state.runs):
            busy = fit(f"   engine busy: {format_work(work, int(self.clock() * 1e6))}", width - 1)
            lines.append(self.line().add(busy, "bad" if work.silent else "dim"))
        if others > 0:
            lines.append(self.line().add(f"   {others} of other sessions are queued, too", "faint"))
        return lines

    def choose(self, by: int) -> None:
        """Select another run and scroll to it."""
        self.chosen = min(max(self.chosen + by, 0), max(len(self.listed) - 1, 0))
        self.paint()
        self.scroll_to(0, self.virtual_size.height, animate=False, force=True, immediate=True)
