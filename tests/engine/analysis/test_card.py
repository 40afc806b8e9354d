"""The card: what makes a result believable, what does not, and that shuffled labels never do."""

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.analysis.card import write_card
from engine.analysis.effects import with_effects
from engine.analysis.ranking import circuit_by_rank
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.code_scores.code_measures import code_measures
from engine.config import ProbeConfig, SAEConfig
from engine.events import CardWritten, EffectsMeasured, ExamplesMade, ProbeFinished, ReferenceKnown, Scored
from engine.measures import NUMBERS, head_scores, number_of
from engine.models.warm_model import WarmModel
from engine.protocol import RunProbe
from engine.results import (
    Card,
    CircuitStability,
    ExampleCount,
    NodeEffect,
    NodeScores,
    Reference,
    Significance,
    Template,
)
from engine.scoring.code_occurrences import CodeOccurrences
from engine.scoring.score_table import ScoreTable, pair_rows
from engine.scoring.significance import label_permutations, p_values, q_values, shuffle_labels
from engine.scoring.stability import measure_stability, resample
from engine.worker.pipeline import ProbeJob

from ...run_parts import effects_measured, scores_of

ENOUGH = ExampleCount(positive=20, negative=20, broken=0)


def head(number: int, unique: float, q: float | None, difference: float = 0.0) -> NodeScores:
    return scores_of(
        0,
        number,
        total_variation=unique,
        unique_positive=unique,
        p_value=q,
        q_value=q,
        stability=1.0,
        baseline_mean_difference=difference,
        baseline_paired_difference=None,
        baseline_linear_probe=difference,
    )


def grid(*, q: float | None = 0.01, differences: tuple[float, ...] = (0, 1, 0, 1, 1, 0)) -> tuple[NodeScores, ...]:
    unique = (9.0, 8.0, 7.0, 1.0, 0.0, 0.0)
    return tuple(head(n, unique[n], q if n < 3 else (None if q is None else 0.9), differences[n]) for n in range(6))


def stability(bootstraps: float = 0.9, seeds: float | None = 0.9) -> CircuitStability:
    return CircuitStability(seeds=seeds, bootstraps=bootstraps, n_bootstraps=100, heads=(0.9, 0.9, 0.8, 0.1, 0.0, 0.0))


CIRCUIT = ((0, 0), (0, 1), (0, 2))


def effects(*sizes: float) -> EffectsMeasured:
    return effects_measured(
        tuple(NodeEffect(layer=0, head=n, effect=-2.0 * size) for n, size in enumerate(sizes)),
        method="combined",
        base=2.0,
        passes=30.0,
    )


def test_heads_above_chance_that_stay_make_it_believable() -> None:
    card = write_card(grid(), CIRCUIT, stability(), ENOUGH)
    assert card.verdict == "believable"
    assert card.above_chance == CIRCUIT
    assert card.expected_false == pytest.approx(0.03)
    assert [one.bootstraps for one in card.heads] == [0.9, 0.9, 0.8]


@pytest.mark.parametrize(
    ("count", "stability", "why"),
    [
        (ExampleCount(positive=3, negative=20, broken=0), stability(), "are few"),
        (ExampleCount(positive=20, negative=20, broken=15), stability(), "15 of 40 examples are broken"),
        (ENOUGH, stability(bootstraps=0.3), "under bootstrap"),
    ],
)
def test_each_doubt_makes_it_weak_and_says_what_to_change(
    count: ExampleCount, stability: CircuitStability, why: str
) -> None:
    card = write_card(grid(), CIRCUIT, stability, count)
    assert card.verdict == "weak"
    assert why in card.reasons[0]
    assert card.advice


def test_without_a_head_above_chance_it_is_chance() -> None:
    assert write_card(grid(q=0.5), CIRCUIT, stability(), ENOUGH).verdict == "no better than chance"
    unmeasured = write_card(grid(q=None), CIRCUIT, stability(), ENOUGH)
    assert (unmeasured.verdict, unmeasured.expected_false) == ("weak", None)


def test_a_difference_that_does_as_well_is_named() -> None:
    # Forty heads of which the difference finds every true one and the codes none.
    nodes = tuple(head(n, 40.0 - n, 0.01, difference=float(n)) for n in range(40))
    known = Reference(name="known", source="a test", heads=tuple((0, n) for n in range(20, 40)))
    many = msgspec.structs.replace(stability(), heads=(0.9,) * 40)
    card = write_card(nodes, CIRCUIT, many, ENOUGH, reference=known)
    assert card.verdict == "no better than a plain difference"
    assert "mean difference finds the heads better" in card.reasons[0]
    assert (card.codes_auc, card.baselines[0].auc) == (0.0, 1.0)
    assert card.rival is not None
    assert card.rival.low > 0.9
    # Where nobody knows the truth, naming the same heads is said and takes nothing away.
    same = write_card(grid(differences=(3, 2, 1, 0, 0, 0)), CIRCUIT, stability(), ENOUGH)
    assert same.verdict == "believable"
    assert "mean difference names the same heads without an SAE" in same.reasons


def test_a_difference_better_by_a_hundredth_decides_nothing() -> None:
    # Codes put one false head of forty among the true ones, the difference none: 1.00 against .99.
    nodes = tuple(head(n, 40.0 - n + (15 if n == 20 else 0), 0.01, difference=40.0 - n) for n in range(40))
    known = Reference(name="known", source="a test", heads=tuple((0, n) for n in range(20)))
    many = msgspec.structs.replace(stability(), heads=(0.9,) * 40)
    card = write_card(nodes, CIRCUIT, many, ENOUGH, reference=known)
    assert card.codes_auc is not None
    assert 0.95 < card.codes_auc < 1.0
    assert card.baselines[0].auc == 1.0
    assert card.rival is not None
    assert card.rival.low <= 0
    assert card.verdict == "believable"
    assert any("may find the heads as well" in reason for reason in card.reasons)


def test_the_interval_of_two_rankings_is_that_of_a_bootstrap_over_heads() -> None:
    # By numpy, 20,000 resamples of true and false heads: the same interval to two hundredths.
    source = np.random.default_rng(3)
    truth = np.arange(60) < 20
    codes, other = source.normal(size=60) + truth, source.normal(size=60) + 1.5 * truth
    nodes = tuple(head(n, 10.0 + float(codes[n]), 0.01, difference=10.0 + float(other[n])) for n in range(60))
    known = Reference(name="known", source="a test", heads=tuple((0, n) for n in range(20)))
    many = msgspec.structs.replace(stability(), heads=(0.9,) * 60)
    rival = write_card(nodes, CIRCUIT, many, ENOUGH, reference=known).rival
    assert rival is not None

    def area(values: Any, true: Any, false: Any) -> float:
        return float((values[true][:, None] > values[false][None]).mean())

    drawn = [
        area(other, true, false) - area(codes, true, false)
        for true, false in ((source.integers(0, 20, 20), source.integers(20, 60, 40)) for _ in range(20_000))
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (rival.low, rival.high) == pytest.approx((2 * rival.mean - high, 2 * rival.mean - low), abs=0.03)


def test_a_training_that_went_nowhere_and_a_grid_that_says_nothing_have_a_verdict_of_their_own() -> None:
    gone = write_card(grid(), (), stability(), ENOUGH, diverged=True)
    assert gone.verdict == "nothing was coded"
    assert "diverged" in gone.reasons[0]
    assert gone.advice == ("lower the learning rate (--learning-rate 0.001)",)
    quiet = tuple(msgspec.structs.replace(head(n, 0.0, 1.0), silent=1.0) for n in range(6))
    loud = tuple(msgspec.structs.replace(node, baseline_paired_difference=0.3) for node in quiet)
    silent = write_card(loud, (), stability(), ENOUGH)
    assert silent.verdict == "nothing was coded"
    assert silent.reasons == ("every head is silent on every example: lambda is too large",)
    assert silent.advice == ("lower lambda",)


def test_where_most_heads_tell_the_sides_apart_it_is_not_the_task_that_they_tell() -> None:
    nodes = tuple(head(n, 9.0 - n, 0.01 if n < 4 else 0.9) for n in range(6))
    card = write_card(nodes, CIRCUIT, stability(), ENOUGH)
    assert card.verdict == "weak"
    assert card.reasons[0] == "4 of 6 heads tell the sides apart: the sides differ in more than the task"
    # Effects speak louder: heads that move the answer are the task's, whatever else differs.
    cause = effects(0.3, 0.2, 0.2, 0.1, 0.0, 0.0)
    card = write_card(with_effects(nodes, [cause]), CIRCUIT, stability(), ENOUGH, causes=[cause])
    assert card.verdict == "believable"


def test_a_grid_in_which_hardly_a_head_speaks_is_weak() -> None:
    nodes = tuple(head(n, 9.0 if n < 2 else 0.0, 0.01 if n < 2 else 0.9) for n in range(6))
    card = write_card(nodes, ((0, 0), (0, 1)), stability(), ENOUGH)
    assert card.verdict == "weak"
    assert "only 2 of 6 heads are active: lambda is large" in card.reasons


def test_sides_that_are_the_same_are_not_blamed_on_lambda() -> None:
    same = tuple(
        msgspec.structs.replace(head(n, 0.0, 1.0), silent=1.0, baseline_paired_difference=1e-7) for n in range(6)
    )
    card = write_card(same, (), stability(), ENOUGH)
    assert card.reasons == ("nothing differs between the two sides: no head's output changes",)
    assert "lambda" not in card.advice[0]


def test_a_few_measured_heads_say_nothing_of_the_circuit() -> None:
    nodes = tuple(head(n, 9.0 - n, 0.01 if n < 5 else 0.9) for n in range(12))
    circuit = tuple((0, n) for n in range(5))
    many = msgspec.structs.replace(stability(), heads=(0.9,) * 12)
    two = msgspec.structs.replace(effects(0.0, 0.0), method="exact")
    card = write_card(with_effects(nodes, [two]), circuit, many, ENOUGH, causes=[two])
    assert (card.verdict, card.movers) == ("believable", None)
    four = msgspec.structs.replace(effects(0.0, 0.0, 0.0, 0.2), method="exact")
    card = write_card(with_effects(nodes, [four]), circuit, many, ENOUGH, causes=[four])
    assert card.verdict == "weak"
    assert "25% of its 4 measured heads move the answer by a twentieth" in card.reasons


def test_pairs_that_share_a_prompt_are_told_so_and_not_to_write_as_many_as_there_are() -> None:
    shared = ExampleCount(positive=14, negative=14, broken=0, distinct_positive=14, distinct_negative=1, clusters=1)
    card = write_card(grid(q=0.5), CIRCUIT, stability(), shared, chance=Significance(statistic="codes", labellings=1))
    assert card.advice[0].startswith("write 8 or more pairs that share no prompts: the present ones share prompts")


def test_a_circuit_of_most_heads_gets_no_credit_for_holding() -> None:
    nodes = tuple(head(n, 9.0 - n, 0.01 if n < 3 else 0.9) for n in range(6))
    card = write_card(nodes, tuple((0, n) for n in range(5)), stability(), ENOUGH)
    assert card.verdict == "weak"
    assert any("5 of 6 heads are in the circuit" in reason for reason in card.reasons)


def test_copies_are_not_counted_and_one_template_is_called_so() -> None:
    few = ExampleCount(positive=24, negative=24, broken=0, distinct_positive=2, distinct_negative=2)
    card = write_card(grid(), CIRCUIT, stability(), few)
    assert card.verdict == "weak"
    assert "2 + 2 distinct examples are few" in card.reasons
    of = Template(text="The ___ barked", prompts=11, of=12)
    card = write_card(grid(), CIRCUIT, stability(), ENOUGH, template=of)
    assert any("evidence about “The ___ barked” only" in reason for reason in card.reasons)


def test_effects_count_more_than_labels() -> None:
    cause = effects(0.3, 0.2, 0.2, 0.01, 0.0, 0.0)
    card = write_card(with_effects(grid(q=0.5), [cause]), CIRCUIT, stability(), ENOUGH, causes=[cause])
    assert (card.verdict, card.movers, card.codes_auc) == ("believable", 1.0, 1.0)
    assert any("in another way in each pair" in reason for reason in card.reasons)
    assert card.truth == "effects measured in this run"
    idle = effects(0.0, 0.0, 0.0, 0.3, 0.3, 0.0)
    card = write_card(with_effects(grid(), [idle]), CIRCUIT, stability(), ENOUGH, causes=[idle])
    assert card.verdict == "no better than a plain difference"
    assert any("0% of its heads move" in reason for reason in card.reasons)
    assert card.advice == ("rank by that baseline", "rank the heads by effect, or try another position")
    some = effects(0.0, 0.2, 0.0, 0.3, 0.1, 0.0)
    card = write_card(with_effects(grid(), [some]), ((0, 1), (0, 3)), stability(), ENOUGH, causes=[some])
    assert card.verdict == "no better than a plain difference"
    assert card.advice[0] == "rank by that baseline, or rank the heads by effect"  # which are measured


def test_divergences_are_no_shares_of_an_answer() -> None:
    shares = effects(0.3, 0.2, 0.01, 0.01, 0.0, 0.0)
    nats = msgspec.structs.replace(effects(0.01, 0.01, 0.01, 0.9, 0.9, 0.9), method="exact", metric="kl")
    causes = [shares, nats]
    alone, both = (
        write_card(with_effects(grid(), each), CIRCUIT, stability(), ENOUGH, causes=each) for each in ([shares], causes)
    )
    assert alone.movers == both.movers == 2 / 3
    assert (both.truth, both.codes_auc) == (alone.truth, alone.codes_auc)
    assert [one.effect for one in both.heads] == [one.effect for one in alone.heads]
    only = write_card(with_effects(grid(), [nats]), CIRCUIT, stability(), ENOUGH, causes=[nats])
    assert (only.movers, only.truth) == (None, None)


def test_bootstraps_keep_pairs_together_and_sides_whole() -> None:
    positive = torch.tensor([True, False, True, False, True, True, False])
    pairs = torch.tensor([[0, 1], [2, 3]])
    weights = resample(positive, pairs, 200, seed=0)
    assert torch.equal(weights[:, 0], weights[:, 1])
    assert torch.equal(weights[:, 2], weights[:, 3])
    assert (weights[:, positive].sum(dim=1) == 4).all()
    assert (weights[:, ~positive].sum(dim=1) == 3).all()


def test_a_circuit_that_every_example_tells_is_in_every_draw() -> None:
    n = 24
    positive = torch.arange(n) % 2 == 0
    pairs = torch.arange(n).view(-1, 2)
    codes = torch.zeros(2, n, 10, dtype=torch.int32)
    for node in (3, 7):
        codes[:, :, node] = torch.where(positive, torch.arange(n) % 3 + 1, 0).int()
    found = measure_stability(codes, positive, pairs, torch.ones(n, 10), 2, seed=0)
    assert (found.seeds, found.bootstraps) == (1.0, 1.0)
    assert [place for place, share in enumerate(found.heads) if share == 1.0] == [3, 7]


Run = tuple[list[Any], torch.Tensor, torch.Tensor]
"""Its events, its codes and how loud each head was."""


class Quiet:
    def report(self, event: Any, /) -> None: ...

    def cancelled(self) -> bool:
        return False


@pytest.fixture(scope="module", params=["contrast", "published"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    spool = tmp_path_factory.mktemp("spool")
    events: list[Any] = []

    class Monitor(Quiet):
        def report(self, event: Any, /) -> None:
            events.append(event)

    sae = SAEConfig() if request.param == "contrast" else SAEConfig(recipe="published", steps=150, sparsity=0.2)
    probe = RunProbe(
        job="r",
        model="toy",
        config=ProbeConfig(sae=sae),
        task="ioi",
        pairs=10,
        spool=str(spool),
        models="",
        activations="",
    )
    tables: list[ScoreTable] = []

    class Kept(ScoreTable):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            tables.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.worker.pipeline.ScoreTable", Kept)
        ProbeJob(probe, WarmModel(), Monitor()).run()
    return events, load_file(Path(spool) / "codes.safetensors")["codes"], tables[0].output_norm


def test_every_run_ends_with_its_card(run: Run) -> None:
    events, _, _ = run
    assert [type(event) for event in events[-2:]] == [CardWritten, ProbeFinished]
    picture = RunSnapshot()
    for event in events:
        picture = fold_event(picture, event)
    assert picture.card == events[-2].card
    scored = next(event for event in reversed(events) if isinstance(event, Scored))
    cause = msgspec.structs.replace(
        effects(), effects=tuple(NodeEffect(layer=n.layer, head=n.head, effect=0.0) for n in scored.nodes)
    )
    later = fold_event(picture, cause)
    assert later.card is not None
    assert later.card.movers == 0.0


def test_the_card_costs_little_beside_the_run(run: Run) -> None:
    events, codes, output_norm = run
    positive, pairs = _labels(events)
    nodes, finished = _scored(events), events[-1]

    def write() -> float:
        begun = time.process_time()
        p_values(CodeOccurrences(codes), output_norm, label_permutations(positive, pairs, 1000, 0), Quiet())
        stability = measure_stability(codes, positive, pairs, output_norm, len(finished.circuit), seed=0)
        write_card(nodes, finished.circuit, stability, finished.examples)
        return time.process_time() - begun

    assert min(write() for _ in range(5)) < 6  # .1 to .2 s of a processor, which a busy machine makes more of


def test_shuffled_labels_are_hardly_ever_above_chance_and_never_believable(run: Run) -> None:
    events, codes, output_norm = run
    (truth, pairs), symbols, scored = _labels(events), CodeOccurrences(codes), _scored(events)
    reported = 0
    for draw, labels in enumerate(shuffle_labels(truth, pairs, 200, seed=99)):
        p = p_values(symbols, output_norm, label_permutations(labels, pairs, 1000, draw), Quiet())
        q = q_values(p)
        measures = {name: value.mean(axis=0) for name, value in code_measures(symbols.per_side(labels)).items()}
        measures |= {"p_value": p.numpy(), "q_value": q.numpy()}
        nodes = tuple(
            head_scores(
                node.id,
                {name: number_of(node, name) for name in NUMBERS}
                | {name: float(value[place]) for name, value in measures.items()},
            )
            for place, node in enumerate(scored)
        )
        circuit = circuit_by_rank(nodes, 4)
        card = write_card(
            nodes, circuit, measure_stability(codes, labels, pairs, output_norm, 4, seed=draw, n_bootstraps=20), ENOUGH
        )
        reported += bool(card.above_chance)
        assert card.verdict != "believable"
    assert reported <= 0.05 * 200


def test_labels_as_they_are_are_above_chance_and_their_heads_are_the_circuits(run: Run) -> None:
    card = next(event for event in run[0] if isinstance(event, CardWritten)).card
    reference = next(event for event in run[0] if isinstance(event, ReferenceKnown)).reference
    false = set(card.above_chance) - set(map(tuple, reference.heads))
    assert len(card.above_chance) >= 4
    assert len(false) <= len(card.above_chance) // 4
    assert card.chance is not None
    assert card.chance.labellings == 512


def test_it_says_where_no_head_could_stand_above_chance() -> None:
    few = Significance(statistic="codes", labellings=8)
    card = write_card(grid(q=0.5), CIRCUIT, stability(), ENOUGH, chance=few)
    assert card.verdict == "no better than chance"
    assert "only 8 ways" in card.reasons[0]
    assert card.advice[0].startswith("use 8 pairs or more and --shuffles 1000")
    one = write_card(grid(q=0.5), CIRCUIT, stability(), ENOUGH, chance=Significance(statistic="codes", labellings=1))
    assert "in only one way:" in one.reasons[0]
    assert one.advice[0].endswith("one labelling cannot single out one head")
    thousand = Significance(statistic="codes", labellings=1001)
    enough = write_card(grid(q=0.5), CIRCUIT, stability(), ENOUGH, chance=thousand)
    assert enough.advice[0] == "use more examples"


def test_a_card_from_before_chance_was_named_is_read_and_written_as_it_was() -> None:
    card = write_card(grid(), CIRCUIT, stability(), ENOUGH)
    assert b'"chance"' not in msgspec.json.encode(card)
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card


def _labels(events: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    examples = next(event for event in events if isinstance(event, ExamplesMade)).examples
    return torch.tensor([example.positive for example in examples]), pair_rows(examples)


def _scored(events: list[Any]) -> tuple[NodeScores, ...]:
    nodes: tuple[NodeScores, ...] = next(event for event in reversed(events) if isinstance(event, Scored)).nodes
    return nodes
