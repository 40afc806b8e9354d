"""What the first path through the product costs, printed beside what it should cost (make bench).

Every figure is a median of whole commands on this machine, so it says as much about the machine as about Headcode;
ratios inside one run say more. Uses a home of its own in a temporary folder and stops the host it started.

    python tests/benchmarks/first_light.py [--model smollm2-135m] [--models FOLDER] [--repeat 5]
"""

import argparse
import json
import os
import pty
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.measures import MEASURES
from engine.ranking import agreement
from engine.results import HeadScores

HEADCODE = str(Path(sys.executable).with_name("headcode"))
TASKS = ("ioi", "docstring", "induction", "greater_than")


def timed(command: list[str], env: dict[str, str]) -> tuple[float, str]:
    begun = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return seconds, done.stdout


def median(repeat: int, measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(repeat))


def first_frame(env: dict[str, str]) -> float:
    """Seconds from the start of the screen until its footer stands on a 160 x 48 terminal."""
    process, terminal = pty.fork()
    begun = time.perf_counter()
    if process == 0:
        os.execvpe(HEADCODE, [HEADCODE], {**env, "TERM": "xterm-256color", "LINES": "48", "COLUMNS": "160"})
    seen = b""
    try:
        while b"run" not in seen and time.perf_counter() - begun < 30:
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 65_536)
        return time.perf_counter() - begun
    finally:
        os.write(terminal, b"q")
        os.kill(process, 9)
        os.waitpid(process, 0)
        os.close(terminal)


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def row(what: str, found: str, aim: str) -> None:
    print(f"{what:58} {found:>18} {aim:>12}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a larger model to time as well, as in --model of the probe")
    parser.add_argument("--models", type=Path, help="folder of fetched models to use")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="hc"))
    env = {**os.environ, "HEADCODE_HOME": str(home)}
    if args.models:
        (home / "cache").mkdir()
        (home / "cache" / "models").symlink_to(args.models.resolve())
    probe = [HEADCODE, "probe", "--quiet"]
    try:
        row("what", "measured", "aim")
        help_s = median(args.repeat, lambda: timed([HEADCODE, "--help"], env)[0])
        row("headcode --help", f"{help_s:.2f} s", "0.25 s")

        def cold() -> float:
            subprocess.run([HEADCODE, "host", "stop"], env=env, capture_output=True, check=False)
            return timed([*probe, "ioi"], env)[0]

        row("probe ioi, nothing running", f"{median(max(1, args.repeat // 2), cold):.1f} s", "12 s")
        warm = [timed([*probe, "ioi", "--json", "--task-seed", str(seed)], env) for seed in range(args.repeat)]
        train = statistics.median(json.loads(told)["timings_s"]["train"] for _, told in warm)
        row("probe ioi, warm, new prompts each time", f"{statistics.median(s for s, _ in warm):.2f} s", "1.5 s")
        row("  of it training", f"{train:.2f} s", "")
        status = json.loads(timed([HEADCODE, "host", "status", "--json"], env)[1])
        row("worker memory, bundled model", f"{resident_mb(status['status']['worker_pid']):.0f} MB", "700 MB")
        row("first full frame of the screen", f"{median(args.repeat, lambda: first_frame(env)):.2f} s", "0.6 s")
        scores: dict[str, list[float]] = {}
        for task in TASKS:
            told = json.loads(timed([*probe, task, "--json"], env)[1])
            nodes = msgspec.convert(told["nodes"], tuple[HeadScores, ...])
            # Causes were not asked for; a measure without values would rank by chance.
            for measure in (each for each in MEASURES if any(getattr(node, each.id) is not None for node in nodes)):
                found = agreement(nodes, (), msgspec.convert(told["reference"]["heads"], set[tuple[int, int]]), measure)
                scores.setdefault(measure.title, []).append(found.auc if found.auc is not None else float("nan"))
        for name, values in scores.items():
            each = " ".join(f"{value:.2f}" for value in values)
            row(f"AUC {name} ({each})", f"{statistics.mean(values):.3f}", ".85" if name == "unique codes" else "")
        if args.model:
            timed([*probe, "ioi", "--model", args.model], env)
            larger = [
                timed([*probe, "ioi", "--model", args.model, "--task-seed", str(seed)], env)[0] for seed in range(1, 4)
            ]
            row(f"probe ioi on {args.model}, warm", f"{statistics.median(larger):.1f} s", "15 s")
    finally:
        subprocess.run([HEADCODE, "host", "stop"], env=env, capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
