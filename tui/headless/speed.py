"""Timing of everyday steps: whole commands, in a temporary installation."""

import os
import pty
import select
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.errors import EngineError
from engine.machine import child_processes
from engine.machine.memory import resident_bytes

_PATIENCE_S = 900
_LAST_OF_THE_FRAME = b"run"
"""Part of the key line, which is drawn last."""
_BELOW_THE_GRID = b"precision"
"""Part of the line below the cells, which is drawn with them once a run has its scores."""


class SpeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: the median of several repetitions."""

    what: str
    value: float
    unit: str
    """s or MB."""
    aim: float | None
    """Target for two idle cores; None: there is none."""
    slowest: float
    repeats: int


class ProbeTimings(msgspec.Struct):
    """The part of a probe's JSON that is read."""

    timings_s: dict[str, float]


class TrialInstallation:
    """A temporary installation with its own store, host and worker, and the user's models."""

    def __init__(self, models: Path) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="hc"))
        if models.is_dir():
            (self.home / "cache").mkdir()
            (self.home / "cache" / "models").symlink_to(models.resolve())
        self.env = {**os.environ, "HEADCODE_HOME": str(self.home)}
        self.command = child_processes.python_command("-m", "tui.cli")

    def close(self) -> None:
        """Stop its processes and remove everything."""
        child_processes.run([*self.command, "host", "stop"], env=self.env, capture_output=True, timeout=60)
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *words: str) -> tuple[float, str]:
        """Run a command; return its seconds and output. Raises EngineError if it failed."""
        begun = time.perf_counter()
        done = child_processes.run(
            [*self.command, *words], env=self.env, capture_output=True, text=True, timeout=_PATIENCE_S
        )
        seconds = time.perf_counter() - begun
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise EngineError(f"headcode {' '.join(words)} failed: {lines[0]}", hint="Try it by itself.")
        return seconds, done.stdout

    def first_frame(self) -> float:
        """Return the seconds from the start of the screen until its key line is drawn at 160 x 48."""
        return self._seconds_until(_LAST_OF_THE_FRAME)

    def first_grid(self) -> float:
        """Return the seconds from a newcomer's first start, in an empty home, until a grid with scores is drawn."""
        empty = TrialInstallation(self.home / "no models")
        try:
            return empty._seconds_until(_BELOW_THE_GRID)
        finally:
            empty.close()

    def _seconds_until(self, sign: bytes) -> float:
        """Return the seconds from the start of the screen until it draws that text."""
        begun = time.perf_counter()
        process, terminal = pty.fork()
        if process == 0:
            env = {**self.env, "TERM": "xterm-256color", "LINES": "48", "COLUMNS": "160"}
            child_processes.become(self.command, env)
        seen = b""
        try:
            while sign not in seen and time.perf_counter() - begun < 60:
                if select.select([terminal], [], [], 1)[0]:
                    seen += os.read(terminal, 65_536)
            return time.perf_counter() - begun
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(terminal)

    def worker_mb(self) -> float | None:
        """Return the memory of the worker, or None if the system does not report it."""
        answer = msgspec.json.decode(self.run("host", "status", "--json")[1])
        pid = answer["status"].get("worker_pid")
        resident = None if pid is None else resident_bytes(pid)
        return None if resident is None else resident / 1e6


def measure_speed(trial: TrialInstallation, *, model: str | None, repeat: int) -> Iterator[SpeedRow]:
    """Yield each row as soon as it is measured. `model`: a larger model to time as well."""

    def row(what: str, values: list[float], unit: str = "s", aim: float | None = None) -> SpeedRow:
        middle = statistics.median(values)
        return SpeedRow(
            what=what, value=round(middle, 3), unit=unit, aim=aim, slowest=round(max(values), 3), repeats=len(values)
        )

    def several(measure: Callable[[], float], n: int = repeat) -> list[float]:
        return [measure() for _ in range(n)]

    yield row("headcode --help", several(lambda: trial.run("--help")[0]), aim=0.25)

    def cold() -> float:
        trial.run("host", "stop")
        return trial.run("probe", "ioi", "--quiet")[0]

    yield row("probe ioi, nothing running", several(cold, max(1, repeat // 2)), aim=12)
    yield from _probes(trial, row, None, repeat, aim=1.5)
    held = trial.worker_mb()
    if held is not None:
        yield row("worker's memory, bundled model", [held], "MB", 700)
    yield row("first full frame of the screen", several(trial.first_frame), aim=0.6)
    yield row("first start of all, until a grid is shown", several(trial.first_grid), aim=1.5)
    if model is not None:
        yield row(f"probe ioi on {model}, first", [trial.run("probe", "ioi", "--quiet", "--model", model)[0]])
        yield from _probes(trial, row, model, max(1, repeat // 2), aim=15 if "smollm2" in model else None)


def _probes(
    trial: TrialInstallation, row: Callable[..., SpeedRow], model: str | None, repeat: int, aim: float | None
) -> Iterator[SpeedRow]:
    words = ["probe", "ioi", "--quiet", "--json", *(["--model", model] if model else [])]
    results = [trial.run(*words, "--task-seed", str(seed)) for seed in range(1, repeat + 1)]
    on = f" on {model}" if model else ""
    yield row(f"probe ioi{on}, warm, new prompts each time", [seconds for seconds, _ in results], aim=aim)
    stages = [msgspec.json.decode(text, type=ProbeTimings).timings_s for _, text in results]
    for stage in ("capture", "train", "scores"):
        yield row(f"  of it {stage}", [each.get(stage, 0.0) for each in stages])
