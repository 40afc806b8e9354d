"""Progress of a run on stderr: a bar on a terminal, otherwise lines; nothing with --quiet."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from engine.events import EngineEvent, ModelReady, Notice, Stage, StageFinished, StageProgress, StageStarted, TrainStep
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_DOING: dict[Stage, str] = {
    "load": "loading the model",
    "grade": "grading the examples",
    "capture": "capturing activations",
    "train": "training the SAEs",
    "codes": "reading the codes",
    "scores": "scoring the heads",
    "cause": "measuring effects",
}


class ProgressReporter(Protocol):
    """Reports a run's progress to the user; its output is never data."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def say(self, text: str) -> None: ...
    def event(self, event: EngineEvent) -> None: ...


def make_reporter(*, quiet: bool, color: str = "auto") -> ProgressReporter:
    """Return the reporter that fits stderr."""
    if quiet:
        return SilentReporter()
    return BarReporter(color) if sys.stderr.isatty() else LineReporter()


class SilentReporter:
    """Reports nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None:
        del text

    def event(self, event: EngineEvent) -> None:
        del event


class LineReporter(SilentReporter):
    """One line per stage, for logs."""

    def __init__(self) -> None:
        self.unit = ""
        self.done = 0

    def say(self, text: str) -> None:
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()

    def event(self, event: EngineEvent) -> None:
        match event:
            case StageStarted():
                self.unit, self.done = event.unit, 0
            case StageProgress():
                self.done = event.done
            case TrainStep():
                self.done = event.step
            case _:
                pass
        text = format_event(event, self.done, self.unit)
        if text:
            self.say(text)


class BarReporter(SilentReporter):
    """A bar for the current stage; each finished stage leaves a line."""

    def __init__(self, color: str) -> None:
        self.color = color
        self.progress: Progress | None = None
        self.task: TaskID | None = None
        self.stage: Stage | None = None
        self.unit = ""
        self.done = 0

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from tui.output.console import detect_style, make_console
        from tui.terminal.rich_private import draw_as_terminal

        console = make_console(detect_style(self.color, sys.stderr), sys.stderr)
        # Even without colours this is a terminal: the bar may move the cursor.
        draw_as_terminal(console)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[text]}", markup=False),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=8,
        )
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def say(self, text: str) -> None:
        if self.progress is not None:
            self.progress.console.print(clean(text), soft_wrap=True)
        else:
            sys.stderr.write(clean(text) + "\n")

    def event(self, event: EngineEvent) -> None:
        if self.progress is None:
            return
        match event:
            case StageStarted():
                self._close()
                self.stage, self.unit, self.done = event.stage, event.unit, 0
                self.task = self.progress.add_task(
                    _DOING[event.stage], total=event.total or None, unit=event.unit, text=""
                )
            case StageProgress() if self.task is not None and event.stage == self.stage:
                self.done = event.done
                self.progress.update(self.task, completed=event.done, total=event.total or None)
            case TrainStep() if self.task is not None:
                self.done = event.step
                self.progress.update(self.task, completed=event.step, total=event.total, text=format_train_step(event))
            case StageFinished():
                self._close()
            case _:
                pass
        text = format_event(event, self.done, self.unit)
        if text:
            self.say(text)

    def _close(self) -> None:
        if self.progress is not None and self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None


def format_event(event: EngineEvent, done: int, unit: str) -> str:
    """Format an event that deserves a line of its own; empty for most."""
    match event:
        case ModelReady():
            model, warm = event.model, " (warm)" if event.warm else ""
            return f"  model {model.name}: {model.n_layers} x {model.layout.of_a_layer} on {event.versions.where}{warm}"
        case StageFinished():
            amount = f"  {done} {unit}".rstrip() if done else ""
            return f"  {event.stage:<8} {event.seconds:6.2f} s{amount}"
        case Notice():
            return f"  note: {event.message} {event.hint}".rstrip()
        case _:
            return ""


def format_train_step(event: TrainStep) -> str:
    """Format mean loss and the number of nodes whose codes still change: loss .0312, codes moving in 3 nodes."""
    losses = [
        reconstruction + sparsity
        for reconstruction, sparsity in zip(event.reconstruction, event.sparsity, strict=False)
        if reconstruction is not None and sparsity is not None
    ]
    loss = f"loss {sum(losses) / len(losses):.4g}" if losses else "loss not finite"
    moving = max(event.moving, default=0)
    return f"{loss}, codes moving in {moving} nodes" if moving else f"{loss}, codes still"
