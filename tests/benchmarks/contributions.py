"""What the norm after attention changes in rankings: heads as they leave W_O, and as they reach the stream.

    python tests/benchmarks/contributions.py MODEL [TASK ...] [--pairs 15] [--truth-pairs 24] [--usable]

Truth: every head patched exactly on other pairs of the task, cut at a twentieth of the base. Prints a row a task and
measure: AUC before (norms left out) and after, and the rank correlation of the two.
"""

import argparse
from pathlib import Path

import torch

from engine.analysis.rank_correlation import spearman
from engine.analysis.ranking import auc, strengths
from engine.capture.head_outputs import head_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import EffectsConfig, LoadOptions, ProbeConfig
from engine.errors import HeadcodeError
from engine.events import SilentMonitor
from engine.examples import Example
from engine.grading.usable_pairs import make_examples
from engine.machine.folders import find_folders
from engine.measures import MEASURES
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import prepare as prepare_patching
from engine.patching.node_patching import measure_replaced, one_each
from engine.results import NodeScores
from engine.sae.training import codes_of, contrast_lengths, prepare, train_saes
from engine.scoring.score_table import ScoreTable, pair_rows
from engine.tasks.registry import TASKS

CUT = 0.05
CHOSEN = ("total_variation", "unique_positive", "contrast_length", "baseline_mean_difference")


def scored(model: Model, examples: tuple[Example, ...], config: ProbeConfig) -> tuple[NodeScores, ...]:
    """Every head's scores, from a new capture."""
    pairs, n_heads = pair_rows(examples), model.info.n_heads
    with torch.inference_mode():
        reading = read_examples(model, examples, config, SilentMonitor(), None, pairs)
        assert reading.apart is not None
        outputs, apart = head_outputs(model, reading.z), head_outputs(model, reading.apart)
        x = prepare(outputs, pairs, n_heads, config.sae, apart)
        length = contrast_lengths(x, outputs, pairs, n_heads, config.sae, apart)
    table = ScoreTable(outputs, examples, config, model.layout("heads"), length=length)
    saes = train_saes(x[table.rows], table.positive, config, SilentMonitor(), lambda _: None)
    return table.final(codes_of(saes, x), SilentMonitor())[0]


def effects(model: Model, examples: tuple[Example, ...], task: str) -> tuple[list[float], float]:
    """Every head's exact effect, and the base."""
    passes = ForwardPasses(model, SilentMonitor())
    config = EffectsConfig(method="exact", replacement="pair", examples=len(examples))
    metric = TASKS[task].metric
    inputs = prepare_patching(model, passes, examples, config, position="mean", task=metric, monitor=passes.monitor)
    heads = [NodeId(layer, head) for layer in range(model.info.n_layers) for head in range(model.info.n_heads)]
    masks = one_each(heads, passes.layout)
    return (measure_replaced(passes, inputs, masks) - inputs.base_by_row).mean(dim=1).tolist(), inputs.base


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--truth-pairs", type=int, default=24)
    parser.add_argument("--usable", action="store_true")
    given = parser.parse_args()
    path = Path(given.model)
    model = load_model(given.model, path.parent if path.is_dir() else find_folders().models, LoadOptions(device="cpu"))
    config = resolve_config(ProbeConfig(), given.model, find_folders().models)
    gains = model.contributions.gains
    print(f"{model.info.name}: norms after attention in {len(gains)} of {model.info.n_layers} layers")
    print("task                   measure                    before   after   rank correlation   top tenth shared")
    for name in given.tasks:

        def drawn(pairs: int, seed: int, name: str = name) -> tuple[Example, ...]:
            task, monitor = TASKS[name], SilentMonitor()
            return make_examples(task, model, pairs=pairs, seed=seed, usable=given.usable, monitor=monitor).examples

        try:
            examples = drawn(given.pairs, 0)
            changes, base = effects(model, drawn(given.truth_pairs, 1000), name)
        except HeadcodeError as error:
            print(f"{name}: {error.message}")
            continue
        truth = [abs(change) >= CUT * abs(base) for change in changes]
        model.contributions.gains = {}
        before = scored(model, examples, config)
        model.contributions.gains = gains
        after = scored(model, examples, config)
        print(f"{name}: base {base:.2f}, {sum(truth)} of {len(truth)} heads move it by a twentieth")
        for measure in (each for each in MEASURES if each.id in CHOSEN):
            old, new = strengths(before, measure), strengths(after, measure)
            size = max(1, len(old) // 10)
            best = [set(sorted(range(len(each)), key=lambda at: -each[at])[:size]) for each in (old, new)]
            areas = [auc(each, truth) for each in (old, new)]
            shown = [f"{area:8.3f}" if area is not None else "       -" for area in areas]
            print(
                f"{'':<22} {measure.id:<24} {shown[0]}{shown[1]} {spearman(old, new) or 0:18.3f} "
                f"{len(best[0] & best[1]):>12} of {size}",
                flush=True,
            )


if __name__ == "__main__":
    main()
