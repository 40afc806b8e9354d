"""How often a run says "above chance" or "believable" when the labels mean nothing, and what it finds when they do.

    python tests/benchmarks/calibration.py [MODEL:TASK ...] [--pairs 10] [--draws 200] [--recipe contrast]

A draw exchanges the sides of pairs by the flip of a coin and does everything after the reading again: training, codes,
scores, chance, stability and card. Prints a row a task.
"""

import argparse
import time
from collections import Counter

import msgspec
import torch

from engine.analysis.card import write_card
from engine.analysis.ranking import circuit_by_rank
from engine.capture.head_outputs import head_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import LoadOptions, ProbeConfig, find_recipe
from engine.events import Event
from engine.examples import Example
from engine.machine.folders import find_folders
from engine.models.loading import load_model
from engine.references.known_circuits import known_circuit
from engine.results import Card, ExampleCount
from engine.sae.training import codes_of, prepare, train_saes
from engine.scoring.score_table import ScoreTable, pair_rows
from engine.scoring.significance import shuffle_labels
from engine.scoring.stability import measure_stability
from engine.tasks.registry import TASKS


class Quiet:
    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool:
        return False


class Ground:
    """One task's prompts, read once."""

    def __init__(self, name: str, task: str, n_pairs: int, recipe: str) -> None:
        models = find_folders().models
        self.model = load_model(name, models, LoadOptions(device="cpu"))
        self.examples = TASKS[task].make(self.model, pairs=n_pairs, seed=0)
        self.config = resolve_config(ProbeConfig(sae=find_recipe(recipe)), name, models)
        self.pairs = pair_rows(self.examples)
        reading = read_examples(self.model, self.examples, self.config, Quiet(), None, self.pairs)
        self.outputs = head_outputs(self.model, reading.z)
        assert reading.apart is not None
        self.apart = head_outputs(self.model, reading.apart)
        self.known = known_circuit(self.model.info, self.model.folder, task)

    def card(self, labels: list[bool]) -> tuple[Card, float]:
        """What a run with these labels ends with, and the seconds that chance, stability and card took."""
        examples = [_labelled(one, label) for one, label in zip(self.examples, labels, strict=True)]
        table = ScoreTable(self.outputs, examples, self.config, self.model.layout("heads"))
        turned = (table.pairs[:, 0] != self.pairs[:, 0]).float()[:, None, None]
        shown = prepare(
            self.outputs, table.pairs, self.model.info.n_heads, self.config.sae, self.apart * (1 - 2 * turned)
        )
        codes = codes_of(train_saes(shown, table.positive, self.config, Quiet(), _untold), shown)
        nodes, _ = table.final(codes, Quiet())
        begun = time.process_time()
        table.final(codes, Quiet())
        circuit = circuit_by_rank(nodes, table.circuit_size)
        steady = measure_stability(codes, table.positive, table.pairs, len(circuit), seed=0)
        half = len(examples) // 2
        count = ExampleCount(positive=half, negative=half, broken=0)
        card = write_card(nodes, circuit, steady, count, chance=table.chance)
        return card, time.process_time() - begun


def _untold(_: torch.Tensor) -> None:
    """Ignore provisional scores."""


def _labelled(example: Example, positive: bool) -> Example:
    return msgspec.structs.replace(example, polarity="positive" if positive else "negative")


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("tasks", nargs="*", default=["toy:ioi", "toy:induction"])
    given.add_argument("--pairs", type=int, default=10)
    given.add_argument("--draws", type=int, default=200)
    given.add_argument("--recipe", default="contrast")
    asked = given.parse_args()
    torch.set_num_threads(1)
    print("task, heads above chance (of the known circuit + others), of known / all, verdict;", end=" ")
    print(f"{asked.draws} shuffles: runs with any, believable, verdicts; seconds of scores and card")
    for name in asked.tasks:
        model, task = name.split(":")
        ground = Ground(model, task, asked.pairs, asked.recipe)
        truth = [example.positive for example in ground.examples]
        real, seconds = ground.card(truth)
        known = set() if ground.known is None else set(map(tuple, ground.known.heads))
        found = set(real.above_chance)
        n_heads = ground.outputs.shape[1]
        print(
            f"{name}: {len(found & known)} + {len(found - known)} of {len(known)} / {n_heads}, {real.verdict};", end=" "
        )
        labels = shuffle_labels(torch.tensor(truth), ground.pairs, asked.draws, seed=99)
        cards = [ground.card(row.tolist())[0] for row in labels]
        verdicts = Counter(card.verdict for card in cards)
        named = sum(bool(card.above_chance) for card in cards)
        print(
            f"{named} of {len(cards)} name any, {verdicts['believable']} believable, {dict(verdicts)}; {seconds:.3f} s"
        )


if __name__ == "__main__":
    main()
