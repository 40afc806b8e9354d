"""What the first path through the product costs and finds, printed beside what it should (make state).

The times are those of `headcode bench speed`; below them, what each measure finds with default settings. Every figure
says as much about the machine as about Headcode; ratios inside one run say more.

    python tests/benchmarks/first_light.py [--model smollm2-135m] [--models FOLDER] [--repeat 5]
"""

import argparse
import json
import statistics
from pathlib import Path

import msgspec

from engine.analysis.ranking import agreement
from engine.machine.folders import find_folders
from engine.measures import MEASURES, value_of
from engine.results import NodeScores
from tui.headless.speed import TrialInstallation, measure_speed

TASKS = ("ioi", "docstring", "induction", "greater_than")


def row(what: str, found: str, aim: str) -> None:
    print(f"{what:58} {found:>18} {aim:>12}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a larger model to time as well, as in --model of the probe")
    parser.add_argument("--models", type=Path, default=find_folders().models, help="folder of fetched models to use")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    trial = TrialInstallation(args.models)
    try:
        row("what", "measured", "aim")
        for each in measure_speed(trial, model=args.model, repeat=args.repeat):
            places = 0 if each.unit == "MB" else 2
            aim = "" if each.aim is None else f"{each.aim:g} {each.unit}"
            row(each.what, f"{each.value:.{places}f} {each.unit}", aim)
        scores: dict[str, list[float]] = {}
        for task in TASKS:
            output = json.loads(trial.run("probe", task, "--quiet", "--json")[1])
            nodes = msgspec.convert(output["nodes"], tuple[NodeScores, ...])
            # Causes were not asked for; a measure without values would rank by chance.
            for measure in (each for each in MEASURES if any(value_of(node, each) is not None for node in nodes)):
                known = msgspec.convert(output["reference"]["heads"], set[tuple[int, int]])
                found = agreement(nodes, (), known, measure)
                scores.setdefault(measure.title, []).append(found.auc if found.auc is not None else float("nan"))
        for name, values in scores.items():
            one_by_one = " ".join(f"{value:.2f}" for value in values)
            row(f"AUC {name} ({one_by_one})", f"{statistics.mean(values):.3f}", ".85" if name == "unique codes" else "")
    finally:
        trial.close()


if __name__ == "__main__":
    main()
