"""How often each verdict of the card is right, over sets whose truth is known.

    python tests/benchmarks/verdicts.py [MODEL ...] [--draws 5] [--pool 40] [--json FILE]

Kinds of sets, of every task the model has a measured or planted circuit for:

    good        as many usable pairs as a run draws by itself
    few         four usable pairs
    copies      four usable pairs, three times each
    as-they-come ten pairs that nobody checked
    exchanged   good pairs, the sides of each exchanged by the flip of a coin: the labels mean nothing
    unrelated   positives held against other positives: nothing sets the sides apart

Cards are written as for somebody's own examples, without a known circuit; those of sets that a task made are written
a second time with it (kinds that end in *). Never with effects or grades. A
circuit is *right* where the labels mean something, its ranking finds the true heads (AUC of .75 at least) and its share
of true heads is a quarter at least of the way from chance to the best circuit of its size.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from engine.analysis.card import write_card
from engine.analysis.ranking import auc, circuit_by_rank, strengths
from engine.authoring.distinct_pairs import shared_template
from engine.capture.head_outputs import head_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import LoadOptions, ProbeConfig
from engine.events import Event
from engine.examples import Example
from engine.grading.usable_pairs import make_usable
from engine.machine.folders import find_folders
from engine.measures import DEFAULT_MEASURE
from engine.models.loading import Model, load_model
from engine.nodes import NodeLayout
from engine.references.ground_truth import known_truths
from engine.results import Card, ExampleCount, NodeScores, Reference
from engine.sae.training import codes_of, contrast_lengths, prepare, train_saes
from engine.sample_size import pairs_needed
from engine.scoring.score_table import ScoreTable, pair_rows
from engine.scoring.significance import shuffle_labels
from engine.tasks.registry import TASKS
from engine.tensors.generators import generator

KINDS = ("good", "few", "copies", "as-they-come", "exchanged", "unrelated")
NONSENSE = ("exchanged", "unrelated")


class Quiet:
    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool:
        return False


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One card and whether its circuit is right."""

    model: str
    task: str
    kind: str
    draw: int
    verdict: str
    right: bool
    auc: float
    hits: int
    size: int
    n_true: int
    above: int
    above_inside: int
    seeds: float
    bootstraps: float
    reasons: tuple[str, ...]


class Pool:
    """Pairs of one kind, read once: sets are drawn from them."""

    def __init__(self, model: Model, examples: Sequence[Example]) -> None:
        self.examples = list(examples)
        self.pairs = pair_rows(self.examples)
        reading = read_examples(model, self.examples, ProbeConfig(), Quiet(), None, self.pairs)
        assert reading.apart is not None
        self.outputs, self.apart = head_outputs(model, reading.z), head_outputs(model, reading.apart)

    def card(
        self, chosen: Sequence[int], flipped: Sequence[bool], config: ProbeConfig, layout: NodeLayout, known: Reference
    ) -> tuple[Card, Card, tuple[NodeScores, ...]]:
        """The card of a set of these pairs, some with exchanged sides; the same with the circuit known; the scores."""
        rows = self.pairs[list(chosen)]
        sign = torch.tensor([-1.0 if each else 1.0 for each in flipped])[:, None, None]
        examples: list[Example] = []
        for number, ((first, second), turned) in enumerate(zip(rows.tolist(), flipped, strict=True)):
            for row, positive in ((first, not turned), (second, turned)):
                side = "positive" if positive else "negative"
                examples.append(msgspec.structs.replace(self.examples[row], polarity=side, pair=number))
        outputs, apart = self.outputs[rows.flatten()], self.apart[list(chosen)] * sign
        pairs = pair_rows(examples)
        shown = prepare(outputs, pairs, layout.n_heads, config.sae, apart)
        lengths = contrast_lengths(shown, outputs, pairs, layout.n_heads, config.sae, apart)
        table = ScoreTable(outputs, examples, config, layout, length=lengths)
        saes = train_saes(shown[table.rows], table.positive, config, Quiet(), lambda _: None, table.pairs)
        codes = codes_of(saes, shown)
        nodes, _ = table.final(codes, Quiet())
        circuit = [] if saes.diverged else circuit_by_rank(nodes, table.circuit_size)
        count = ExampleCount(
            positive=len(chosen),
            negative=len(chosen),
            broken=0,
            distinct_positive=table.distinct[0],
            distinct_negative=table.distinct[1],
        )
        steady = table.stability(codes, len(circuit))
        cards = [
            write_card(
                nodes,
                circuit,
                steady,
                count,
                chance=table.chance,
                diverged=saes.diverged,
                template=shared_template(examples),
                reference=reference,
            )
            for reference in (None, known)
        ]
        return cards[0], cards[1], nodes


def judge_task(model: Model, name: str, task: str, draws: Sequence[int], size: int) -> list[Judged]:
    truths = [each for each in known_truths(name, model.folder).truths.get(task, ()) if each.level == "heads"]
    if not truths:
        return []
    true = set(truths[-1].heads)
    layout, needed = model.layout("heads"), pairs_needed(model.n_heads_in_all)
    config = resolve_config(ProbeConfig(), name, find_folders().models)
    good = Pool(model, make_usable(TASKS[task], model, pairs=size, seed=7, monitor=Quiet()))
    loose = Pool(model, TASKS[task].make(model, pairs=size, seed=11))
    positives = [each for each in good.examples if each.positive]
    mixed = [
        msgspec.structs.replace(each, pair=number // 2, polarity="positive" if number % 2 == 0 else "negative")
        for number, each in enumerate(positives[: len(positives) // 2 * 2])
    ]
    unrelated = Pool(model, mixed)
    found = []
    known = Reference(name=f"{task}, measured", source=truths[-1].source, heads=tuple(true))
    for draw in draws:
        for kind in KINDS:
            pool = unrelated if kind == "unrelated" else loose if kind == "as-they-come" else good
            n = {"few": 4, "copies": 4, "as-they-come": 10}.get(kind, needed)
            order = torch.randperm(len(pool.pairs), generator=generator(draw, f"{kind}/{task}")).tolist()
            chosen = order[:n] * (3 if kind == "copies" else 1)
            flipped = [False] * len(chosen)
            if kind == "exchanged":
                positive = torch.tensor([True, False] * len(chosen))
                labels = shuffle_labels(positive, torch.arange(2 * len(chosen)).view(-1, 2), 1, seed=draw + 99)
                flipped = (~labels[0, ::2]).tolist()
            seeds = tuple(range(3 * draw, 3 * draw + 3))
            own = msgspec.structs.replace(config, seeds=seeds)
            card, with_known, nodes = pool.card(chosen, flipped, own, layout, known)
            found.append(_judged(name, task, kind, draw, card, nodes, true))
            if kind not in NONSENSE:
                found.append(_judged(name, task, f"{kind}*", draw, with_known, nodes, true))
    return found


def _judged(
    name: str, task: str, kind: str, draw: int, card: Card, nodes: Sequence[NodeScores], true: set[tuple[int, int]]
) -> Judged:
    inside = {(each.layer, each.head) for each in card.heads}
    labels = [(node.layer, node.head) in true for node in nodes]
    area = auc(strengths(nodes, DEFAULT_MEASURE), labels) or 0.0
    hits = len(inside & true)
    share = _above_chance(hits, len(inside), len(true), len(nodes))
    above = set(card.above_chance)
    return Judged(
        model=name,
        task=task,
        kind=kind,
        draw=draw,
        verdict=card.verdict,
        right=kind not in NONSENSE and area >= 0.75 and share >= 0.25,
        auc=round(area, 3),
        hits=hits,
        size=len(inside),
        n_true=len(true),
        above=len(above),
        above_inside=len(above & inside),
        seeds=card.stability.seeds or 0.0,
        bootstraps=card.stability.bootstraps,
        reasons=card.reasons,
    )


def _above_chance(hits: int, size: int, true: int, heads: int) -> float:
    """Return the circuit's share of true heads, scaled: 0 is chance, 1 the best circuit of its size."""
    if not size:
        return 0.0
    chance, best = true / heads, min(1.0, true / size)
    return (hits / size - chance) / (best - chance)


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("models", nargs="*", default=["toy", "planted-induction", "planted-ioi", "planted-distractors"])
    given.add_argument("--draws", type=int, default=5)
    given.add_argument("--from", type=int, default=0, dest="first", help="number of the first draw")
    given.add_argument("--pool", type=int, default=40)
    given.add_argument("--json", type=Path)
    asked = given.parse_args()
    torch.set_num_threads(1)
    found: list[Judged] = []
    for name in asked.models:
        model = load_model(name, find_folders().models, LoadOptions(device="cpu"))
        for task in known_truths(name, model.folder).truths:
            found += judge_task(model, name, task, range(asked.first, asked.first + asked.draws), asked.pool)
            print(name, task, len(found), flush=True)
            if asked.json:
                asked.json.write_bytes(msgspec.json.encode(found))
    print_table(found)


def print_table(found: Sequence[Judged]) -> None:
    """Verdicts by kind of set, and how often each was given where the circuit was right."""
    for kind in sorted({each.kind for each in found}):
        of = [each for each in found if each.kind == kind]
        verdicts = Counter(each.verdict for each in of)
        print(f"{kind:13} {len(of)} runs, {sum(each.right for each in of)} circuits right: {dict(verdicts)}")
    for known in (False, True):
        for verdict in sorted({each.verdict for each in found}):
            of = [each for each in found if each.verdict == verdict and each.kind.endswith("*") is known]
            way = "circuit known" if known else "own examples"
            print(f"{way}, {verdict}: circuit right in {sum(each.right for each in of)} of {len(of)}")


if __name__ == "__main__":
    main()
