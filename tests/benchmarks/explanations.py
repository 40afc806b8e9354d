"""How well explanations of a run's strongest codes predict them on held-out prompts, and what an explanation costs.

    python tests/benchmarks/explanations.py [MODEL] [--tasks ioi,greater_than,...] [--codes 20] [--json FILE]
    python tests/benchmarks/explanations.py --same-as FILE  # are the explanations those of an earlier time?

A default run of each task, seed 0. A code's strength is its share of the positives less its share of the negatives, in
size; of equal ones, a drawn order decides. With --json, what FILE has is not computed again.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file

from engine.capture.code_reader import CodeReader
from engine.capture.head_outputs import node_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import DEFAULTS, LoadOptions
from engine.events import SilentMonitor
from engine.explaining.explanation import Explainer
from engine.explaining.prompt_sets import prompt_sets
from engine.explanations import CodeExplanation, Predicted
from engine.grading.usable_pairs import make_examples
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.results import NO_CODE
from engine.sae.node_codes import NodeCodes
from engine.scoring.score_table import pair_rows
from engine.tasks.registry import find_task
from engine.tensors.generators import generator

COST = ("passes", "seconds")


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One code with its explanation."""

    model: str
    task: str
    rank: int
    strength: float
    cpu_seconds: float
    explanation: CodeExplanation


def explainer_of(model: Model, task: str, folder: Path) -> tuple[Explainer, list[tuple[float, NodeId, int]]]:
    """Return an explainer of a default run of the task, and the run's codes, the strongest first."""
    monitor = SilentMonitor()
    examples = make_examples(find_task(task), model, pairs=0, seed=0, usable=False, monitor=monitor).examples
    config, pairs = resolve_config(DEFAULTS, model.info.name, find_folders().models), pair_rows(examples)
    with torch.inference_mode():
        captured = read_examples(model, examples, config, monitor, None, pairs, config.nodes)
        outputs = node_outputs(model, captured, at_own_position=config.position == "mean")
    layout = model.layout(config.nodes)
    inputs = NodeCodes(outputs, pairs, layout, config)
    positive = torch.tensor([each.positive for each in examples])
    saes = inputs.train(torch.arange(len(examples)), positive, pairs, monitor, lambda _: None)
    weights = folder / f"{task}.safetensors"
    save_file(saes.weights, weights)
    codes = inputs.codes(saes)[0]
    found = []
    for index, node in enumerate(layout.ids):
        for code in codes[:, index].unique().tolist():
            if code != NO_CODE:
                has = (codes[:, index] == code).float()
                found.append((float((has[positive].mean() - has[~positive].mean()).abs()), node, code))
    order = torch.randperm(len(found), generator=generator(0, "explanations")).tolist()
    found = sorted((found[place] for place in order), key=lambda each: -round(each[0], 6))
    reader = CodeReader(model, examples, config, weights, 0, None, monitor)
    return Explainer(reader, prompt_sets(model, examples, task, paired=reader.pairs_needed)), found


def judge(model: Model, tasks: Sequence[str], most: int, known: list[Judged], save: Path | None) -> None:
    """Explain the tasks' strongest codes that are not known, in turns, and add them."""
    done = {(each.task, each.rank) for each in known if each.model == model.info.name}
    with tempfile.TemporaryDirectory(prefix="hc-") as folder:
        made: dict[str, tuple[Explainer, list[tuple[float, NodeId, int]]]] = {}
        for rank, task in ((rank, task) for rank in range(most) for task in tasks):
            if (task, rank) in done:
                continue
            if task not in made:
                made[task] = explainer_of(model, task, Path(folder))
                for name in ("run", "learn", "learn_others", "judge", "judge_others"):
                    made[task][0].codes_of(name)  # once for all codes
            explainer, codes = made[task]
            strength, node, code = codes[rank]
            begun = time.process_time()
            with torch.no_grad():
                found = explainer.explain(node, code, seed=0)
            known.append(
                Judged(
                    model=model.info.name,
                    task=task,
                    rank=rank,
                    strength=round(strength, 3),
                    cpu_seconds=round(time.process_time() - begun, 2),
                    explanation=found,
                )
            )
            print(line(known[-1]), flush=True)
            if save:
                save.write_bytes(msgspec.json.encode(known))


def line(judged: Judged) -> str:
    """Return one code's numbers: precision / recall, on prompts of its task alone, and by the most frequent token."""
    found = judged.explanation
    scores = " ".join(f"{scored(each):>11}" for each in (found.together, found.same_kind, found.frequent.predicted))
    node = f"{NodeId(found.layer, found.head)}:{found.code}"
    cost = f"{found.passes} prompts {judged.cpu_seconds:.1f} s of a core, {found.seconds:.1f} s"
    return f"{judged.task:14} {node:10} {judged.strength:.2f} {scores} {cost}"


def scored(predicted: Predicted) -> str:
    return f"{number(predicted.precision)} / {number(predicted.recall)}"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def print_medians(found: Sequence[Judged]) -> None:
    """Print medians of each task and of all. What names no prompt has a precision of 0; codes on none are left out."""
    for task in (*dict.fromkeys(each.task for each in found), "all"):
        of = [each.explanation for each in found if task in (each.task, "all")]
        judged = [each for each in of if each.together.with_code]
        row = [
            f"{statistics.median(getattr(pick(each), what) or 0.0 for each in judged):.2f}"
            for pick in (
                lambda each: each.together,
                lambda each: each.same_kind,
                lambda each: each.frequent.predicted,
                lambda each: each.best_token.predicted,
            )
            for what in ("precision", "recall")
        ]
        pairs = " | ".join(f"{one} / {other}" for one, other in zip(row[::2], row[1::2], strict=True))
        passes, seconds = (statistics.median(getattr(each, name) for each in of) for name in COST)
        core = statistics.median(each.cpu_seconds for each in found if task in (each.task, "all"))
        print(f"{task}: {len(judged)} of {len(of)} codes: {pairs} ({passes:.0f} prompts, {core:.1f} s of a core)")
        print(f"  {seconds:.1f} s on the clock")


def differences(old: Sequence[Judged], new: Sequence[Judged]) -> list[str]:
    """Return in which parts explanations of the same code differ, the cost and the last digits left out."""
    before = {(each.task, each.rank): msgspec.to_builtins(each.explanation) for each in old}
    found = []
    for each in new:
        other = before.get((each.task, each.rank))
        if other is not None:
            differ = differing(other, msgspec.to_builtins(each.explanation), f"{each.task} {each.rank}")
            found += [path for path in differ if not path.endswith(COST)]
    return found


def differing(one: Any, other: Any, path: str) -> Iterator[str]:
    """Yield the paths of values that differ."""
    if isinstance(one, dict) and one.keys() == other.keys():
        for name in one:
            yield from differing(one[name], other[name], f"{path} {name}")
    elif isinstance(one, list | tuple) and len(one) == len(other):
        for place, values in enumerate(zip(one, other, strict=True)):
            yield from differing(*values, f"{path} {place}")
    elif isinstance(one, float) and isinstance(other, float):
        if abs(one - other) > 1e-3 * max(1.0, abs(one)):
            yield path
    elif one != other:
        yield path


def main() -> None:
    """Explain, and print a line for each code and the medians."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("model", nargs="?", default="toy")
    given.add_argument("--tasks", default="ioi,greater_than,induction")
    given.add_argument("--codes", type=int, default=20)
    given.add_argument("--json", type=Path)
    given.add_argument("--same-as", type=Path)
    asked = given.parse_args()
    known: list[Judged] = []
    if asked.json and asked.json.exists():
        known = msgspec.json.decode(asked.json.read_bytes(), type=list[Judged])
    model = load_model(asked.model, find_folders().models, LoadOptions(device="cpu"))
    judge(model, asked.tasks.split(","), asked.codes, known, asked.json)
    print_medians(known)
    if asked.same_as:
        differ = differences(msgspec.json.decode(asked.same_as.read_bytes(), type=list[Judged]), known)
        print("\n".join(differ) or f"all {len(known)} explanations as in {asked.same_as}")


if __name__ == "__main__":
    main()
