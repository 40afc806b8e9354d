"""Runs `python -m engine.models.fetch`, showing its progress and raising its failure, for the command and screens."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.catalog.fetch_messages import (
    AnyFetchMessage,
    FetchDone,
    FetchFailed,
    FetchNote,
    FetchProgress,
    FetchStage,
    FetchStarted,
)
from engine.errors import EngineError
from engine.machine import child_processes
from engine.machine.memory import format_bytes
from sessions.errors import Refusal
from tui.output.console import detect_style, make_console
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE = 1 << 24
"""Maximum bytes of a message; asyncio's own limit is 64 KiB."""
_DOING: dict[FetchStage, str] = {
    "look": "asking the hub",
    "download": "downloading",
    "check": "checking the sum",
    "unpack": "unpacking",
    "convert": "converting to safetensors",
    "copy": "copying",
}


def run_fetch(words: Sequence[str]) -> FetchDone:
    """Run a fetch to its end. Raises Refusal with its failure; Ctrl+C reaches the fetch, too, which cleans up."""
    command = child_processes.python_command("-m", "engine.models.fetch", *words)
    last: FetchDone | FetchFailed | None = None
    decoder: msgspec.json.Decoder[AnyFetchMessage] = msgspec.json.Decoder(AnyFetchMessage)
    with (
        tempfile.TemporaryFile() as stderr,  # a pipe that is not read would fill up and block the fetch
        child_processes.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr) as process,
        _FetchReporter() as reporter,
    ):
        assert process.stdout is not None
        while process.returncode is None:
            try:
                for line in process.stdout:
                    word = decoder.decode(line)
                    if isinstance(word, FetchDone | FetchFailed):
                        last = word
                    else:
                        reporter.report(word)
                process.wait()
            except KeyboardInterrupt:
                # The terminal sends it the same signal; after kill -INT it has to be signalled.
                process.terminate()
        stderr.seek(0)
        trace = stderr.read()
    return _done(last, process.returncode, trace)


async def fetch_in_process(words: Sequence[str], report: Callable[[str], None]) -> FetchDone:
    """Run a fetch as `run_fetch` does; `report` gets its progress as text. Cancelling ends it, and it cleans up."""
    command = child_processes.python_command("-m", "engine.models.fetch", *words)
    last: FetchDone | FetchFailed | None = None
    decoder: msgspec.json.Decoder[AnyFetchMessage] = msgspec.json.Decoder(AnyFetchMessage)
    stage: FetchStarted | None = None
    with tempfile.TemporaryFile() as stderr:
        process = await child_processes.start_async(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, limit=_LINE
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                word = decoder.decode(line)
                if isinstance(word, FetchDone | FetchFailed):
                    last = word
                elif isinstance(word, FetchStarted):
                    stage = word
                    report(f"{_DOING[stage.stage]} {_amount(None, stage)}".rstrip())
                elif isinstance(word, FetchProgress) and stage is not None:
                    report(f"{_DOING[stage.stage]} {_amount(word.done, stage)}")
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()  # it removes what it has downloaded so far
        stderr.seek(0)
        trace = stderr.read()
    return _done(last, code, trace)


def _done(last: FetchDone | FetchFailed | None, code: int, trace: bytes) -> FetchDone:
    """Return the message with which a fetch ended. Raises Refusal or EngineError if it failed."""
    if isinstance(last, FetchFailed):
        raise Refusal(last.failure)
    if last is None:
        end = trace.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise EngineError(
            f"The fetch failed ({how}): {end[0]}",
            hint="Nothing was kept. "
            + (
                "A machine with more free memory may be needed for the conversion."
                if code == -signal.SIGKILL
                else "Unexpected error: get the model as a Hugging Face folder with safetensors."
            ),
        )
    return last


def _amount(done: int | None, stage: FetchStarted) -> str:
    """Format how much of a stage is done; None: its total alone."""

    def format_amount(count: int) -> str:
        return format_bytes(count) if stage.unit == "bytes" else f"{count} {stage.unit}"

    if done is None:
        return format_amount(stage.total) if stage.total else ""
    return f"{format_amount(done)} of {format_amount(stage.total)}" if stage.total else format_amount(done)


class _FetchReporter:
    """Shows a progress bar if stderr is a terminal, otherwise one line per stage."""

    def __init__(self) -> None:
        self.bar = sys.stderr.isatty()
        self.stage = FetchStarted(stage="look", total=0, unit="")
        self.task: TaskID | None = None

    def __enter__(self) -> "_FetchReporter":
        if self.bar:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            from tui.terminal.rich_private import draw_as_terminal

            console = make_console(detect_style("auto", sys.stderr), sys.stderr)
            draw_as_terminal(console)
            self.progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[amount]}", markup=False),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=console,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.progress.stop()

    def report(self, word: FetchStarted | FetchProgress | FetchNote) -> None:
        match word:
            case FetchStarted():
                self._stage(word)
            case FetchProgress():
                self._progress(word.done)
            case FetchNote():
                text = clean(word.message)
                if self.bar:
                    self.progress.console.print(text, soft_wrap=True)
                else:
                    sys.stderr.write(text + "\n")

    def _stage(self, word: FetchStarted) -> None:
        self.stage = word
        doing = _DOING[word.stage]
        if not self.bar:
            sys.stderr.write(f"{doing} {_amount(None, word)}".rstrip() + "\n")
            sys.stderr.flush()
            return
        if self.task is not None:
            self.progress.update(self.task, total=1, completed=1)
        self.task = self.progress.add_task(doing.ljust(26), total=word.total or None, amount="")

    def _progress(self, done: int) -> None:
        if self.bar and self.task is not None:
            done = min(done, self.stage.total) if self.stage.total else done
            self.progress.update(self.task, completed=done, amount=_amount(done, self.stage))
