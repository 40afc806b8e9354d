"""Headcode beside its peers on the same prompts, weights and machine: seconds, memory, agreement and AUC.

    python tests/benchmarks/peers.py --small                     # the bundled model and what is installed with Headcode
    python tests/benchmarks/peers.py --venvs FOLDER --reference CHECKOUT [--json FILE]

Peers run in virtual environments of their own, named eap, circuitkit and reference in FOLDER; docs/peers.md says how
they are made. One that is not there gives a row that says how to get it. The large run needs SmolLM2-135M
(`headcode models fetch smollm2-135m`). Every measurement is a process of its own that reads prompts and weights from
files; it loads, warms up once, and is then timed --repetitions times. Nothing else should run meanwhile.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file

from engine.analysis.ranking import auc
from engine.capture.head_outputs import answers_of, head_outputs, read_examples
from engine.catalog.local_models import BUNDLED
from engine.catalog.recommended_config import resolve_config
from engine.config import LoadOptions, ProbeConfig, find_recipe
from engine.errors import HeadcodeError
from engine.events import SilentMonitor
from engine.examples import Example
from engine.machine.cpu import processor_name
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.references.known_circuits import known_circuit
from engine.scoring.score_table import pair_rows
from engine.tasks.registry import find_task

PROCESSES = Path(__file__).parent / "peer_processes"
LARGE = "smollm2-135m"
TASK = "ioi"
CODES = 200
GET = {
    "eap": "EAP-IG and TransformerLens 2 in FOLDER/eap",
    "circuitkit": "circuitkit in FOLDER/circuitkit",
    "reference": "github.com/charlieoneill11/sae-circuits, --reference CHECKOUT, what it needs in FOLDER/reference",
}
"""What a peer needs in the folder --venvs, by the name of its virtual environment; docs/peers.md has the commands."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One program's measurement; `missing` says how to get a program that is not there, `failed` what it said."""

    group: str
    model: str
    program: str
    wall: list[float] = []
    """Seconds of every repetition."""
    cpu: list[float] = []
    """Seconds of the processor, all threads."""
    times_ours: float | None = None
    """Median seconds of the processor, as a multiple of Headcode's in the group's first row."""
    times_ours_wall: float | None = None
    stages: dict[str, float] = {}
    peak_bytes: int = 0
    """Of the whole process: interpreter, packages, weights, work."""
    largest_difference: float | None = None
    """Of any head's number, to those of the row that computes the same."""
    auc: dict[str, float] = {}
    """Of heads, by measure, against the task's known circuit in this model."""
    versions: dict[str, str] = {}
    missing: str = ""
    failed: str = ""


class Bench:
    """Runs the measured processes and keeps their rows."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder, self.rows, self.machine = args, folder, list[Row](), machine()

    def python(self, venv: str) -> Path | None:
        """Return the interpreter of a peer's virtual environment; None if there is none."""
        found = None if self.args.venvs is None else self.args.venvs / venv / "bin" / "python"
        return found if found is not None and found.exists() else None

    def run(
        self, group: str, model: str, program: str, script: str, job: dict[str, Any], python: Path | None = None
    ) -> dict[str, Any] | None:
        """Measure one program in a process of its own and return its answer; None if it failed, which becomes a row."""
        file = self.folder / "job.json"
        file.write_text(json.dumps({"threads": 1, "repetitions": self.args.repetitions, **job}))
        # One thread for every library; nothing is looked up on a hub.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        words = [str(python or sys.executable), str(PROCESSES / f"{script}.py"), str(file)]
        ran = subprocess.run(words, capture_output=True, text=True, env=env, cwd=self.folder, check=False)
        if ran.returncode:
            said = ran.stderr.strip().splitlines()[-1:] or [f"exit code {ran.returncode}"]
            self._add(Row(group=group, model=model, program=program, failed=said[0]))
            return None
        return json.loads(ran.stdout)

    def add(
        self,
        group: str,
        model: str,
        program: str,
        answer: dict[str, Any] | None,
        *,
        first: dict[str, Any] | None,
        areas: dict[str, float],
        same_as: dict[str, Any] | None = None,
    ) -> None:
        """Add the row of an answer. `first`: Headcode's, for the ratio; `same_as`: an answer to the same question."""
        if answer is None:
            return
        difference = None
        if same_as is not None and same_as is not answer:
            difference = float((torch.tensor(answer["scores"]) - torch.tensor(same_as["scores"])).abs().max())
        mine = {each: statistics.median(answer[each]) for each in ("wall", "cpu")}
        ratio = {each: mine[each] / statistics.median(first[each]) if first else None for each in mine}
        self._add(
            Row(
                group=group,
                model=model,
                program=program,
                wall=answer["wall"],
                cpu=answer["cpu"],
                times_ours=ratio["cpu"],
                times_ours_wall=ratio["wall"],
                stages={name: statistics.median(seconds) for name, seconds in answer["stages"].items()},
                peak_bytes=answer["peak_bytes"],
                largest_difference=difference,
                auc=areas,
                versions=answer["versions"],
            )
        )

    def missing(self, group: str, model: str, program: str, venv: str) -> None:
        self._add(Row(group=group, model=model, program=program, missing=f"not installed: {GET[venv]} (docs/peers.md)"))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        print(format_row(row), flush=True)
        if self.args.json:
            about = {"schema": "headcode.peers/1", "machine": self.machine, "load_average_now": load_average()}
            self.args.json.write_text(json.dumps({**about, "rows": msgspec.to_builtins(self.rows)}, indent=1))


def format_row(row: Row) -> str:
    """Return the row as a line of a Markdown table."""
    begins = f"| {row.group} | {row.model} | {row.program} |"
    if row.missing or row.failed:
        return f"{begins} {row.missing or 'failed: ' + row.failed} | | | | | |"
    ratio = "" if row.times_ours is None else f"{row.times_ours:.2f} ({row.times_ours_wall:.2f})"
    apart = "" if row.largest_difference is None else f"{row.largest_difference:.0e}"
    areas = ", ".join(f"{name} {area:.3f}".strip() for name, area in row.auc.items())
    seconds = f"{statistics.median(row.wall):.3f} | {statistics.median(row.cpu):.3f}"
    return f"{begins} {seconds} | {ratio} | {row.peak_bytes / 2**20:.0f} | {apart} | {areas} |"


HEADER = (
    "| what | model | program | wall s | CPU s | times ours: CPU (wall) | peak MiB | largest difference | AUC |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def truth_of(model: Model) -> list[tuple[int, int]]:
    """Return the heads of the task's known circuit: exact patching on other prompts."""
    found = known_circuit(model.info, model.folder, TASK)
    assert found is not None, model.info.name
    return [(layer, head) for layer, head in found.heads]


def area(model: Model, scores: Any) -> float:
    """Return the AUC of these scores, [layer][head] or flat, against the known circuit."""
    true, n_heads = set(truth_of(model)), model.info.n_heads
    flat = torch.tensor(scores, dtype=torch.float64).abs().flatten().tolist()
    found = auc(flat, [divmod(place, n_heads) in true for place in range(len(flat))])
    assert found is not None
    return found


def aligned_examples(model: Model, pairs: int) -> list[Example]:
    """Return pairs whose two prompts have as many tokens and whose answers are one token each."""
    drawn = find_task(TASK).make(model, pairs=2 * pairs, seed=0)
    sides = zip([each for each in drawn if each.positive], [each for each in drawn if not each.positive], strict=True)
    found: list[Example] = []
    for positive, negative in sides:
        assert positive.pair == negative.pair
        same = len(model.encode(positive.prompt)[0]) == len(model.encode(negative.prompt)[0])
        if same and len(found) < 2 * pairs:
            found += [positive, negative]
    return found


def patching_job(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    """Return what every program reads: weights, prompts as token ids, answers."""
    ids = [model.encode(example.prompt)[0] for example in examples]
    answers = [answers_of(model, example) for example in examples[::2]]
    return {
        "folder": str(model.folder),
        "examples": msgspec.to_builtins(examples),
        "ids": ids,
        "positives": ids[::2],
        "negatives": ids[1::2],
        "expected": [each.expected[0] for each in answers],
        "foils": [each.foils[0] for each in answers],
    }


def exact_patching(bench: Bench, model: Model, pairs: int) -> None:
    """Exact patching of every head beside TransformerLens's own function, on the same pairs."""
    examples = aligned_examples(model, pairs)
    job = patching_job(model, examples)
    group, name = f"exact patching, every head, {len(examples) // 2} pairs", model.info.name
    ours = bench.run(group, name, "Headcode", "ours", {**job, "what": "exact"})
    shown = [("Headcode", ours)]
    shown.append(("TransformerLens, bridge", bench.run(group, name, "TransformerLens", "bridge_patching", job)))
    for number, (program, answer) in enumerate(shown):
        areas = {"": area(model, answer["scores"])} if answer else {}
        bench.add(group, name, program, answer, first=ours if number else None, areas=areas, same_as=ours)
    python, program = bench.python("eap"), "TransformerLens 2, HookedTransformer"
    if name == LARGE and not bench.args.all:
        return
    if python is None:
        bench.missing(group, name, program, "eap")
        return
    answer = bench.run(group, name, program, "hooked_patching", job, python)
    areas = {"": area(model, answer["scores"])} if answer else {}
    bench.add(group, name, program, answer, first=ours, areas=areas, same_as=ours)


def attribution(bench: Bench, model: Model, pairs: int) -> None:
    """Estimates of every head's effect from gradients, beside EAP-IG and circuitkit."""
    examples = aligned_examples(model, pairs)
    job = patching_job(model, examples)
    name = model.info.name
    # Of the large model one gradient alone: five points of EAP-IG and circuitkit take minutes.
    for steps in (0, 5) if name == BUNDLED and not bench.args.small else (0,):
        group = f"{f'integrated gradients, {steps} points' if steps else 'one gradient'}, {len(examples) // 2} pairs"
        given = {**job, "steps": steps}
        ours = bench.run(group, name, "Headcode", "ours", {**given, "what": "attribution"})
        if ours is None:
            continue
        bench.add(group, name, "Headcode attribution", ours, first=None, areas={"": area(model, ours["scores"])})
        if not steps:
            own = bench.run(group, name, "Headcode combined", "ours", {**given, "what": "combined"})
            areas = {"": area(model, own["scores"])} if own else {}
            bench.add(group, name, "Headcode combined (and exact patching)", own, first=ours, areas=areas)
        for program, package, level in (
            ("EAP-IG, nodes", "eap", "nodes"),
            ("EAP-IG, all edges", "eap", "edges"),
            ("circuitkit, nodes", "circuitkit", "nodes"),
        ):
            python = bench.python(package)
            if python is None:
                bench.missing(group, name, program, package)
                continue
            if steps and level == "edges":
                continue
            wanted = {**given, "package": package, "level": level}
            answer = bench.run(group, name, program, "gradients", wanted, python)
            areas = {"": area(model, answer["scores"])} if answer else {}
            bench.add(group, name, program, answer, first=ours, areas=areas, same_as=None if steps else ours)


def codes(bench: Bench, model: Model, pairs: int) -> None:
    """Training, codes, node scores and edges from the same head outputs, beside the reference implementation."""
    drawn = find_task(TASK).make(model, pairs=pairs, seed=0)
    # The reference takes the first half for positives.
    examples = [each for each in drawn if each.positive] + [each for each in drawn if not each.positive]
    captured = read_examples(model, examples, ProbeConfig(), SilentMonitor(), None, pair_rows(examples))
    assert captured.apart is not None
    arrays = bench.folder / "arrays.safetensors"
    outputs, apart = head_outputs(model, captured.z), head_outputs(model, captured.apart)
    save_file({"outputs": outputs.contiguous(), "apart": apart.contiguous()}, arrays)
    info, name, group = model.info, model.info.name, f"training, codes, nodes, edges, {pairs} + {pairs} prompts"
    job = {"arrays": str(arrays), "layers": info.n_layers, "heads": info.n_heads, "codes": CODES}
    ways = (
        ("published recipe, one seed", "codes", "published", 1),
        ("published recipe, one seed, with baselines, p-values, stability", "everything", "published", 1),
        ("default recipe, one seed", "codes", "contrast", 1),
        ("default recipe, three seeds", "codes", "contrast", 3),
        ("default recipe, three seeds, with baselines, p-values, stability", "everything", "contrast", 3),
    )
    first: dict[str, Any] | None = None
    shared = {**job, "examples": msgspec.to_builtins(examples)}
    for program, what, recipe, seeds in ways[3:] if bench.args.small else ways:
        config = ProbeConfig(sae=find_recipe(recipe), seeds=tuple(range(seeds)))
        sparsity = resolve_config(config, name, find_folders().models).sae.sparsity
        given = {**shared, "what": what, "recipe": recipe, "seeds": seeds, "sparsity": sparsity}
        answer = bench.run(group, name, f"Headcode, {program}", "ours", given)
        areas = {}
        if answer is not None:
            areas = {one: area(model, each) for one, each in {**answer["nodes"], "edges": answer["from_edges"]}.items()}
        bench.add(group, name, f"Headcode, {program}", answer, first=first, areas=areas)
        first = answer if first is None else first
    python, checkout = bench.python("reference"), bench.args.reference
    if python is None or checkout is None:
        bench.missing(group, name, "reference implementation", "reference")
        return
    published = resolve_config(ProbeConfig(sae=find_recipe("published")), name, find_folders().models).sae.sparsity
    given = {**job, "checkout": str(checkout.resolve()), "truth": truth_of(model), "sparsity": published}
    answer = bench.run(group, name, "reference implementation", "reference_codes", given, python)
    if answer is not None:
        areas = {"unique": area(model, answer["scores"]), "edges": area(model, answer["from_edges"])}
        bench.add(group, name, "reference implementation", answer, first=first, areas=areas)


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": 1,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_average": load_average(),
    }


def load_average() -> list[float]:
    return [round(each, 2) for each in os.getloadavg()]


def measurements(args: argparse.Namespace) -> Iterator[tuple[Any, str, int]]:
    """Yield what is measured: the function, the model, the number of pairs."""
    yield codes, BUNDLED, 20 if args.small else 250
    yield exact_patching, BUNDLED, 4 if args.small else 10
    if not args.small:
        yield exact_patching, LARGE, args.pairs
    yield attribution, BUNDLED, 4 if args.small else 10
    if not args.small:
        yield attribution, LARGE, args.pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the bundled model, few prompts: seconds")
    parser.add_argument("--venvs", type=Path, help="folder with the virtual environments eap, circuitkit, reference")
    parser.add_argument("--reference", type=Path, help="checkout of the reference implementation")
    parser.add_argument("--pairs", type=int, default=4, help="pairs for the large model (4)")
    parser.add_argument("--all", action="store_true", help="also HookedTransformer's patching of the large model")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hc-peers-") as folder:
        bench = Bench(args, Path(folder))
        print(json.dumps(bench.machine), HEADER, sep="\n")
        for measure, name, pairs in measurements(args):
            try:
                model = load_model(name, find_folders().models, LoadOptions(device="cpu"))
            except HeadcodeError as error:
                sys.exit(f"{error.message}\nhint: headcode models fetch {name}, or --small")
            measure(bench, model, pairs)
            del model
    print(f"load average afterwards: {load_average()}")
    for program, versions in {row.program: row.versions for row in bench.rows if row.versions}.items():
        print(f"{program}: {', '.join(f'{name} {each}' for name, each in versions.items())}")


if __name__ == "__main__":
    main()
