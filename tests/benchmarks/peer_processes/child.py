"""What every measured process shares: reading the job, timing, and the answer. Needs torch and nothing of Headcode."""

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

Job = dict[str, Any]
Answer = dict[str, Any]


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens padded on the right, where a causal model does not see it, and each row's last position."""
    width = max(map(len, rows))
    tokens = torch.tensor([ids + [0] * (width - len(ids)) for ids in rows])
    return tokens, torch.tensor([len(ids) - 1 for ids in rows])


def logit_difference(job: Job, last: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the metric of the job per row: logit of the expected token minus that of the foil."""
    rows, right, wrong = torch.arange(len(last)), torch.tensor(job["expected"]), torch.tensor(job["foils"])

    def metric(logits: torch.Tensor) -> torch.Tensor:
        answer = logits[rows, last]
        return answer[rows, right] - answer[rows, wrong]

    return metric


def repeated(job: Job, work: Callable[[], dict[str, Any]]) -> Answer:
    """Call the work as often as the job says; return its last answer, and seconds of every call.

    `wall` and `cpu` are of the whole call. The work may return `stages`: seconds by name.
    """
    wall, cpu, answer = [], [], {}
    stages: dict[str, list[float]] = {}
    for _ in range(job["repetitions"]):
        begun, begun_cpu = time.perf_counter(), time.process_time()
        answer = work()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - begun_cpu)
        for name, seconds in answer.pop("stages", {}).items():
            stages.setdefault(name, []).append(seconds)
    return {**answer, "wall": wall, "cpu": cpu, "stages": stages}


def serve(measure: Callable[[Job], Answer], *packages: str) -> None:
    """Read the job named on the command line, measure it with one output stream for narration, print the answer."""
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    with contextlib.redirect_stdout(sys.stderr):
        answer = measure(job)
    versions = {each: version(each) for each in packages}
    print(json.dumps({**answer, "peak_bytes": peak_bytes(), "versions": versions}))


def peak_bytes() -> int:
    """Return the largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, ru_maxrss begins with what the parent had when it started this process
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
