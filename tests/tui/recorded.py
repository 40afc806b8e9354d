"""The events of a run, as an engine reports them, and what they are made of."""

import random
from collections.abc import Sequence
from typing import Any

from engine.config import ProbeConfig
from engine.events import (
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainStep,
)
from engine.examples import Example
from engine.results import (
    NO_CODE,
    ExampleCount,
    Grade,
    ModelInfo,
    NodeScores,
    Reference,
    Timings,
    Versions,
)
from sessions.events import (
    ArrayStored,
    RunEnded,
    RunQueued,
    RunStarted,
)
from sessions.rows import HeadCodes

START_US = 1_790_000_000_000_000
NAMES = ("Mary", "John", "Amy", "Paul", "Ruth", "Adam", "Jane", "Mark", "Kate", "Luke")
PLACES = ("shop", "park", "school", "station", "beach", "garden")
THINGS = ("drink", "book", "ring", "ball", "letter")
KNOWN = ((2, 3), (3, 6), (4, 1), (5, 2), (5, 7))


def make_examples(pairs: int) -> tuple[Example, ...]:
    draw = random.Random(1)
    found = []
    for pair in range(pairs):
        one, other, third = draw.sample(NAMES, 3)
        place, thing = draw.choice(PLACES), draw.choice(THINGS)
        start = draw.choice(("When", "Then,", "After"))
        for polarity, giver in (("positive", one), ("negative", third)):
            found.append(
                Example(
                    prompt=f"{start} {one} and {other} went to the {place}, {giver} gave a {thing} to",
                    polarity=polarity,
                    expected=(other,),
                    foils=(one,),
                    pair=pair,
                )
            )
    return tuple(sorted(found, key=lambda example: not example.positive))


def make_grades(examples: Sequence[Example]) -> tuple[Grade, ...]:
    draw = random.Random(2)
    grades = []
    for index, example in enumerate(examples):
        chance = draw.uniform(0.78, 0.97) if example.positive else draw.uniform(0.02, 0.2)
        verdict, reason = (
            "ok",
            "the expected token is what the model says" if example.positive else "the model is at a loss",
        )
        if index == 12:
            chance, verdict, reason = 0.31, "weak", "the model still knows the answer"
        if index == 5:
            chance, verdict, reason = 0.04, "broken", "the model says something else"
        grades.append(
            Grade(
                index=index,
                verdict=verdict,
                reason=reason,
                n_tokens=16,
                probability=chance,
                rank=1 if chance > 0.5 else 4,
                says=" John" if chance > 0.5 else " the",
                says_probability=max(chance, 0.22),
                equal_length=True,
            )
        )
    return tuple(grades)


def make_nodes(
    n_layers: int, n_heads: int, *, progress: float = 1.0, known: Sequence[tuple[int, int]] = KNOWN
) -> tuple[NodeScores, ...]:
    draw = random.Random(3)
    nodes = []
    for layer in range(n_layers):
        for head in range(n_heads):
            speaks = (layer, head) in known
            unique = draw.choice((5.0, 6.333, 7.0, 8.667, 4.0)) if speaks else max(0.0, round(draw.gauss(0.2, 0.9), 3))
            unique = round(unique * progress, 3)
            strong = min(unique / 9, 1.0)
            nodes.append(
                NodeScores(
                    layer=layer,
                    head=head,
                    unique_positive=unique,
                    unique_negative=round(draw.random() * 2, 3),
                    unique_normalised=round(strong * 0.8, 3),
                    overlap=round(1 - strong * 0.9, 3),
                    mutual_information=round(strong * 0.9 - 0.02, 3),
                    total_variation=round(strong, 3),
                    unique_share=round(strong, 3),
                    paired_flips=round(strong, 3),
                    from_edges=float(round(strong * 20)),
                    p_value=round(max(0.001, (1 - strong) ** 4), 3),
                    q_value=round(max(0.012, (1 - strong) ** 2), 3),
                    stability=1.0 if strong > 0.5 else round(draw.choice((0.0, 0.0, 1 / 3)), 3),
                    silent=round(0.2 * (1 - strong), 2),
                    baseline_mean_difference=round(draw.random() * 3, 3),
                    baseline_paired_difference=round(draw.random(), 3),
                    baseline_linear_probe=round(0.5 + draw.random() / 2, 3),
                    baseline_random=round(draw.random(), 3),
                    other={"code_accuracy": round(0.5 + strong / 2, 3)},
                )
            )
    return tuple(nodes)


def make_codes(run_id: str, layer: int, head: int, seed: int, examples: Sequence[Example]) -> HeadCodes:
    draw = random.Random(f"{layer}.{head}.{seed}")
    own, shared = [draw.randrange(200) for _ in range(3)], [draw.randrange(200) for _ in range(3)]
    codes = []
    for example in examples:
        if draw.random() < 0.08:
            codes.append(NO_CODE)
        elif example.positive and draw.random() < 0.7:
            codes.append(draw.choice(own))
        else:
            codes.append(draw.choice(shared))
    return HeadCodes(run_id=run_id, layer=layer, head=head, seed=seed, codes=tuple(codes))


def model_info(n_layers: int, n_heads: int, name: str = "toy") -> ModelInfo:
    return ModelInfo(
        name=name,
        identity="a1" * 32,
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=n_heads * 16,
        d_head=16,
        context=128,
        vocabulary=800,
    )


VERSIONS = Versions(headcode="0.1.0", python="3.11.7", torch="2.13.0", transformer_lens="4.3.0", device="cpu")


def run_events(
    *,
    n_layers: int = 6,
    n_heads: int = 8,
    pairs: int = 10,
    until: str = "end",
    examples: tuple[Example, ...] | None = None,
    known: bool = True,
    config: ProbeConfig | None = None,
) -> list[Any]:
    """The events of one run. `until`: queued, load, train or end."""
    config = config or ProbeConfig()
    examples = make_examples(pairs) if examples is None else examples
    events: list[Any] = [RunQueued(config=config, model="toy", task="ioi")]
    if until == "queued":
        return events
    events += [RunStarted(), StageStarted(stage="load", total=0)]
    if until == "load":
        return events
    info = model_info(n_layers, n_heads)
    events += [
        ModelReady(model=info, versions=VERSIONS, warm=False),
        StageFinished(stage="load", seconds=4.21),
        ExamplesMade(examples=examples, content_hash="c" * 32, task="ioi", made=True),
        StageStarted(stage="grade", total=len(examples), unit="prompts"),
        Graded(grades=make_grades(examples)),
        StageFinished(stage="grade", seconds=0.09),
    ]
    if known:
        source = "exact patching of every head, heads past 5 % of the base"
        events.append(ReferenceKnown(reference=Reference(name="toy ioi", source=source, heads=KNOWN)))
    events += [
        StageStarted(stage="capture", total=len(examples), unit="prompts"),
        StageProgress(stage="capture", done=len(examples), total=len(examples)),
        StageFinished(stage="capture", seconds=0.06),
        StageStarted(stage="train", total=500, unit="steps"),
    ]
    for step in range(20, 501, 20):
        loss = 0.02 + 0.6 * 0.86 ** (step / 20)
        moving = max(0, 24 - step // 15)
        events.append(
            TrainStep(
                step=step,
                total=500,
                reconstruction=tuple(round(loss * (1 + 0.04 * seed), 5) for seed in range(len(config.seeds))),
                sparsity=tuple(0.01 for _ in config.seeds),
                moving=tuple(moving for _ in config.seeds),
            )
        )
        if step % 100 == 0:
            events.append(Scored(nodes=make_nodes(n_layers, n_heads, progress=step / 500), final=False))
        if until == "train" and step == 220:
            return events
    events += [
        StageFinished(stage="train", seconds=0.74),
        StageStarted(stage="codes", total=3, unit="seeds"),
        StageFinished(stage="codes", seconds=0.01),
        ArrayStored(name="codes", sha256="d" * 64, n_bytes=4096),
        StageStarted(stage="scores", total=1000, unit="shuffles"),
        Scored(nodes=make_nodes(n_layers, n_heads), final=True),
        StageFinished(stage="scores", seconds=0.31),
        ProbeFinished(
            examples=ExampleCount(positive=pairs, negative=pairs, broken=1),
            circuit=KNOWN,
            circuit_softmax=KNOWN,
            timings=Timings(load=4.21, grade=0.09, capture=0.06, train=0.74, codes=0.01, scores=0.31, total=5.42),
            cached=False,
        ),
        RunEnded(state="done"),
    ]
    return events
