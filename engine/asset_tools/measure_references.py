"""Measure references by exact patching.

`python -m engine.asset_tools.measure_references MODEL [TASK ...] [--pairs 48]`

Every head's z is replaced, at all positions, by its value on the paired negative, one head at a time. One JSON file per
task goes into engine/references/MODEL/; an existing file is left alone.
"""

import argparse
import re
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import torch

from engine.capture.head_outputs import read_examples
from engine.config import EffectsConfig, LoadOptions, ProbeConfig
from engine.errors import TaskError
from engine.events import SilentMonitor
from engine.grading.rules import grade_examples
from engine.grading.usable_pairs import usable_pairs
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import prepare
from engine.patching.node_patching import measure_replaced, one_each
from engine.references.measured import FOLDER, MeasuredReference, PromptSelection
from engine.tasks.registry import TASKS, find_task

TASK_SEED = 1000
"""Not a small seed, as probes and benchmarks use."""
MEASURED = (
    "exact head patching from the paired negative: the head's z at all positions, one head at a time; mean over pairs "
    "of the task's metric, patched minus base"
)


def measure(model: Model, name: str, *, pairs: int, seed: int = TASK_SEED) -> MeasuredReference:
    """Return the exact effect of every head on the task, on `pairs` pairs that the model can do.

    Twice as many are drawn and graded. If not even a quarter of them is usable, the first of all are taken, and `able`
    is False. Raises TaskError if the model's tokenizer cannot express the task.
    """
    begun, task, monitor = time.perf_counter(), find_task(name), SilentMonitor()
    examples = task.make(model, pairs=2 * pairs, seed=seed)
    with torch.inference_mode():
        reading = read_examples(model, list(examples), ProbeConfig(), monitor, None)
    grades = grade_examples(model, examples, reading)
    usable = usable_pairs(examples, grades)
    chosen = usable[:pairs] if 2 * len(usable) >= pairs else list(range(pairs))
    used = [example for example in examples if example.pair in set(chosen)]
    info, passes = model.info, ForwardPasses(model, monitor, "all")
    config = EffectsConfig(method="exact", replacement="pair", metric=task.metric, examples=len(chosen))
    inputs = prepare(model, passes, used, config, position="mean", task=task.metric, monitor=monitor)
    nodes, n_heads = passes.layout.ids, passes.layout.n_heads_in_all
    metric = measure_replaced(passes, inputs, one_each(nodes, passes.layout))
    changed = metric - inputs.base_by_row
    errors = changed.std(dim=1) / changed.shape[1] ** 0.5
    counts: dict[str, int] = {}
    for example, grade in zip(examples, grades, strict=True):
        key = f"{example.polarity} {grade.verdict}"
        counts[key] = counts.get(key, 0) + 1
    return MeasuredReference(
        model=info.name,
        identity=info.identity,
        task=name,
        metric=task.metric,
        measured=MEASURED,
        prompts=PromptSelection(task_seed=seed, drawn=2 * pairs, usable=len(usable), used=len(inputs)),
        grades=dict(sorted(counts.items())),
        base=round(inputs.base, 4),
        effects=_rounded(changed.mean(dim=1)[:n_heads], info.n_heads),
        errors=_rounded(errors[:n_heads], info.n_heads),
        others={
            str(node): round(effect, 4)
            for node, effect in zip(nodes[n_heads:], changed.mean(dim=1)[n_heads:].tolist(), strict=True)
        },
        versions={each: version(each) for each in ("torch", "transformers", "transformer-lens")},
        date=datetime.now(UTC).date().isoformat(),
        seconds=round(time.perf_counter() - begun, 1),
    )


def write(reference: MeasuredReference, folder: Path = FOLDER) -> Path:
    """Write the reference to folder/MODEL/TASK.json, a row of heads per line, and return the path."""
    path = folder / reference.model / f"{reference.task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(reference), indent=1).decode()
    path.write_text(_rows_on_one_line(text) + "\n", encoding="utf-8")
    return path


def _rounded(values: torch.Tensor, n_heads: int) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in values.view(-1, n_heads).tolist()]


def _rows_on_one_line(text: str) -> str:
    """Put each list of plain numbers in the JSON on one line."""
    return re.sub(
        r"\[[-\d.e,\s]+\]", lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text
    )


def main() -> None:
    """Measure the tasks that have no file yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=TASK_SEED)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.model, find_folders().models, LoadOptions(device="cpu"))
    for name in given.tasks:
        path = given.folder / model.info.name / f"{name}.json"
        if path.exists():
            print(f"{name}: {path} exists")
            continue
        try:
            found = measure(model, name, pairs=given.pairs, seed=given.seed)
        except TaskError as error:
            print(f"{name}: left out. {error.message}")
            continue
        write(found, given.folder)
        sizes = sorted((abs(effect) for row in found.effects for effect in row), reverse=True)
        over = {cut: sum(size >= cut * abs(found.base) for size in sizes) for cut in (0.02, 0.04, 0.05)}
        print(f"{name}: able {found.able}, base {found.base}, heads over {over}, {found.seconds} s", flush=True)


if __name__ == "__main__":
    main()
