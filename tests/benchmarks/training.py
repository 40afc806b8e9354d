"""What training costs, and what a shorter one would lose.

    python tests/benchmarks/training.py [MODEL ...] [--draws 6] [--pairs 10] [--steps 1,5x.01,50] [--json FILE]

Sets of usable pairs are drawn for every task whose circuit is known; the SAEs of three seeds are trained on each, in
every way of --steps (5x.01: five steps at a learning rate of .01). Prints, per model and way, the mean AUC of total
variation and of unique codes against the known heads with the difference to the last way (mean of the draws and its
standard error), and the processor's seconds of a training.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from verdicts import Pool, Quiet

from engine.analysis.ranking import auc, strengths
from engine.catalog.recommended_config import resolve_config
from engine.config import LoadOptions, ProbeConfig
from engine.examples import Example
from engine.grading.usable_pairs import make_usable
from engine.machine.folders import find_folders
from engine.measures import find_measure
from engine.models.loading import load_model
from engine.references.ground_truth import known_truths
from engine.sae.training import codes_of, contrast_lengths, prepare, train_saes
from engine.scoring.score_table import ScoreTable, pair_rows
from engine.tasks.registry import TASKS
from engine.tensors.generators import generator

SHOWN = ("total_variation", "unique_positive")


class Way(NamedTuple):
    """Number of steps and learning rate of a training."""

    steps: int
    rate: float

    @property
    def name(self) -> str:
        return f"{self.steps}x{self.rate:g}"


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """One training and its rankings."""

    model: str
    task: str
    draw: int
    way: str
    seconds: float
    auc: dict[str, float]


def train(name: str, draws: int, n_pairs: int, ways: list[Way]) -> list[Trained]:
    models = find_folders().models
    model = load_model(name, models, LoadOptions(device="cpu"))
    config = resolve_config(ProbeConfig(), name, models)
    found = []
    for task, truths in known_truths(name, model.folder).truths.items():
        heads = [each for each in truths if each.level == "heads"]
        if not heads or task not in TASKS:
            continue
        true = set(heads[-1].heads)
        pool = Pool(model, make_usable(TASKS[task], model, pairs=3 * n_pairs, seed=7, monitor=Quiet()))
        for draw in range(draws):
            order = torch.randperm(len(pool.pairs), generator=generator(draw, f"training/{task}")).tolist()
            rows = pool.pairs[order[:n_pairs]]
            examples: list[Example] = []
            for number, (first, second) in enumerate(rows.tolist()):
                for row, side in ((first, "positive"), (second, "negative")):
                    examples.append(msgspec.structs.replace(pool.examples[row], polarity=side, pair=number))
            outputs, apart = pool.outputs[rows.flatten()], pool.apart[order[:n_pairs]]
            pairs = pair_rows(examples)
            own = msgspec.structs.replace(config, seeds=tuple(range(3 * draw, 3 * draw + 3)))
            shape = (pairs, model.info.n_heads, config.sae, apart)
            shown = prepare(outputs, *shape)
            lengths = contrast_lengths(shown, outputs, *shape)
            table = ScoreTable(outputs, examples, own, model.layout("heads"), length=lengths)
            for way in ways:
                sae = msgspec.structs.replace(own.sae, steps=way.steps, learning_rate=way.rate)
                short = msgspec.structs.replace(own, sae=sae)
                begun = time.process_time()
                saes = train_saes(shown, table.positive, short, Quiet(), lambda _: None, table.pairs)
                seconds = time.process_time() - begun
                nodes = table.provisional(codes_of(saes, shown))
                labels = [(node.layer, node.head) in true for node in nodes]
                areas = {each: auc(strengths(nodes, find_measure(each)), labels) or 0.5 for each in SHOWN}
                found.append(
                    Trained(model=name, task=task, draw=draw, way=way.name, seconds=round(seconds, 4), auc=areas)
                )
    return found


def print_table(found: list[Trained], ways: list[Way]) -> None:
    for model in dict.fromkeys(each.model for each in found):
        mine = [each for each in found if each.model == model]
        for measure in SHOWN:
            print(f"{model}, {find_measure(measure).title}")
            last = {(each.task, each.draw): each.auc[measure] for each in mine if each.way == ways[-1].name}
            for way in ways:
                trained = [each for each in mine if each.way == way.name]
                words = [f"  {way.name:>8} {statistics.median(each.seconds for each in trained):7.3f} s"]
                for task in dict.fromkeys(each.task for each in trained):
                    areas = {each.draw: each.auc[measure] for each in trained if each.task == task}
                    apart = [area - last[task, draw] for draw, area in areas.items()]
                    error = statistics.stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
                    mean = statistics.mean(areas.values())
                    words.append(f"{task[:10]} {mean:.3f} {statistics.mean(apart):+.4f} ({error:.4f})")
                every = statistics.mean(each.auc[measure] - last[each.task, each.draw] for each in trained)
                print("  ".join([*words, f"all {every:+.4f}"]))


def _ways(text: str) -> list[Way]:
    parts = [each.partition("x") for each in text.split(",")]
    return [Way(int(steps), float(rate or 1e-3)) for steps, _, rate in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["toy"])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=_ways, default=_ways("1,10,50"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = [each for name in args.models for each in train(name, args.draws, args.pairs, args.steps)]
    print_table(found, args.steps)
    if args.json:
        args.json.write_text(json.dumps(msgspec.to_builtins(found), indent=1))


if __name__ == "__main__":
    main()
