"""How well causes measured on a few pairs find the heads that matter on other prompts, and what that costs.

    python tests/benchmarks/cause_quality.py MODEL [TASK ...] [--pairs 10] [--truth-pairs 24] [--budget 30] [--out FILE]

Truth: every head patched exactly on other pairs of the task, cut at a twentieth of the base. One thread unless
OMP_NUM_THREADS says otherwise. Prints a row a task; --out keeps every head's effects as JSON.
"""

import argparse
import time
from pathlib import Path

import msgspec
import torch

from engine.analysis.ranking import auc
from engine.config import EffectsConfig, LoadOptions
from engine.errors import HeadcodeError
from engine.events import EffectsMeasured, Event
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.patching.attribution import attribute
from engine.patching.effects_stage import EffectsStage
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import prepare
from engine.patching.node_patching import measure_replaced, one_each
from engine.tasks.registry import TASKS

CUT = 0.05


class Listener:
    def __init__(self) -> None:
        self.scored: dict[str, EffectsMeasured] = {}

    def report(self, event: Event, /) -> None:
        if isinstance(event, EffectsMeasured):
            self.scored[event.method] = event

    def cancelled(self) -> bool:
        return False


def every_head(model: Model) -> list[NodeId]:
    return [NodeId(layer, head) for layer in range(model.info.n_layers) for head in range(model.info.n_heads)]


def exact(model: Model, name: str, pairs: int, seed: int) -> tuple[list[float], float, float, float]:
    """Every head's effect, the base, seconds, and the cost in forward passes of the same pairs."""
    task = TASKS[name]
    listener = Listener()
    passes = ForwardPasses(model, listener)
    examples = task.make(model, pairs=pairs, seed=seed)
    begun = time.perf_counter()
    config = EffectsConfig(method="exact", examples=pairs)
    inputs = prepare(model, passes, examples, config, position="mean", task=task.metric, monitor=listener)
    before = passes.work
    masks = one_each(every_head(model), passes.layout)
    effects = (measure_replaced(passes, inputs, masks) - inputs.base_by_row).mean(dim=1)
    cost = (passes.work - before) / (inputs.tokens.numel() * passes.n_layers)
    return effects.tolist(), inputs.base, time.perf_counter() - begun, cost


def attribution_cost(model: Model, name: str, pairs: int) -> float:
    """Seconds of all that attribution takes over seconds of one plain forward pass of the positives; best of 3."""
    task = TASKS[name]
    examples = task.make(model, pairs=pairs, seed=0)
    best, plain = [], []
    for _ in range(3):
        listener = Listener()
        passes = ForwardPasses(model, listener)
        begun = time.perf_counter()
        config = EffectsConfig(method="attribution")
        inputs = prepare(model, passes, examples, config, position="mean", task=task.metric, monitor=listener)
        attribute(passes, inputs)
        best.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with torch.no_grad():
            passes.run(inputs.tokens, inputs.last)
        plain.append(time.perf_counter() - begun)
    return min(best) / min(plain)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--truth-pairs", type=int, default=24)
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--truth-seed", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    model = load_model(given.model, find_folders().models, LoadOptions(device="cpu"))
    kept: dict[str, object] = {}
    print("task                   base heads | AUC attribution  combined  exact | passes  seconds | attribution / pass")
    for name in given.tasks:
        task = TASKS[name]
        listener = Listener()
        try:
            begun = time.perf_counter()
            config = EffectsConfig(method="combined", budget=given.budget)
            examples = task.make(model, pairs=given.pairs, seed=0)
            found = EffectsStage(model, examples, config, listener, position="mean", task=task.metric)
            found.find(ranking=[], circuit=[])
            seconds = time.perf_counter() - begun
            own, base, own_seconds, own_passes = exact(model, name, given.pairs, 0)
            true, true_base, *_ = exact(model, name, given.truth_pairs, given.truth_seed)
        except HeadcodeError as error:
            print(f"{name}: {error.message}")
            continue
        truth = [abs(effect) >= CUT * abs(true_base) for effect in true]
        rankings = {
            method: [one.effect for one in listener.scored[method].effects] for method in ("attribution", "combined")
        }
        areas = [auc([abs(effect) for effect in each], truth) or 0.0 for each in (*rankings.values(), own)]
        print(
            f"{name:<22} {true_base:5.2f} {sum(truth):>5} | {areas[0]:15.3f} {areas[1]:9.3f} {areas[2]:6.3f} | "
            f"{listener.scored['combined'].passes:6.1f} {seconds:8.1f} | "
            f"{attribution_cost(model, name, given.pairs):.2f}"
            f"   (all heads exactly: {own_seconds:.1f} s, {own_passes:.1f} passes)",
            flush=True,
        )
        kept[name] = {
            "base": true_base, "truth": true, "own_base": base, "own": own, **rankings,
            "measured": [(one.layer, one.head) for one in listener.scored["exact"].effects],
        }  # fmt: skip
    if given.out:
        given.out.write_bytes(msgspec.json.encode(kept))


if __name__ == "__main__":
    main()
