"""The bundled model from prompts to scores, through the same code as every other model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from engine.analysis.ranking import agreement
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.capture.head_outputs import head_outputs, read_examples
from engine.config import LoadOptions, ProbeConfig, SAEConfig
from engine.errors import Cancelled, ConfigError, ExampleError
from engine.events import (
    ArrayReady,
    EdgesScored,
    Event,
    ExamplesMade,
    Graded,
    ModelReady,
    Notice,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    StageFinished,
    StageStarted,
    TrainStep,
)
from engine.examples import Example
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.protocol import RunProbe
from engine.tasks.registry import find_task
from engine.worker.pipeline import ProbeJob

QUICK = ProbeConfig(sae=SAEConfig(steps=60, sparsity=0.2), seeds=(0, 1), shuffles=100)


@pytest.fixture
def model(warm_model: WarmModel, tmp_path: Path) -> Model:
    return warm_model.take("toy", tmp_path, LoadOptions(device="cpu"))[0]


@pytest.fixture
def probe(warm_model: WarmModel, tmp_path: Path, recorder: Any) -> Callable[..., Any]:
    def run(config: ProbeConfig = QUICK, **order: Any) -> Any:
        stop = order.pop("stop", lambda _: False)
        monitor = order.pop("monitor", None) or recorder(stop)
        given: dict[str, Any] = {"task": "ioi", "pairs": 4, "device": "cpu", **order}
        spool = tmp_path / "spool"
        ProbeJob(
            RunProbe(
                job="r1",
                model="toy",
                config=config,
                spool=str(spool),
                models=str(tmp_path),
                activations=str(tmp_path / "acts"),
                **given,
            ),
            warm_model,
            monitor,
        ).run()
        return monitor

    return run


def some(n: int) -> list[Example]:
    """Prompts of unequal length, some in pairs and some not."""
    texts = ["Mary and John", "When Mary and John went to the store", "John gave a book to", "the river the stone the"]
    return [
        Example(
            prompt=texts[index % 4] + " a" * (index // 4),
            polarity="positive" if index % 3 else "negative",
            pair=index // 2 if index in (2, 3) else None,
        )
        for index in range(n)
    ]


def test_a_run_tells_its_story_in_order(probe: Callable[..., Any]) -> None:
    received = probe().events
    kinds = [type(event) for event in received]
    stages = [event.stage for event in received if isinstance(event, StageStarted)]
    assert stages == ["load", "capture", "grade", "train", "codes", "scores"]
    assert [event.stage for event in received if isinstance(event, StageFinished)] == stages
    order = [ModelReady, ExamplesMade, ReferenceKnown, Graded, TrainStep, ArrayReady, EdgesScored, ProbeFinished]
    places = [kinds.index(kind) for kind in order]
    assert places == sorted(places)
    steps = [event for event in received if isinstance(event, TrainStep)]
    assert [event.step for event in steps] == [*range(1, 60, 3), 60]
    assert all(len(event.reconstruction) == len(event.moving) == 2 for event in steps)
    scored = [event for event in received if isinstance(event, Scored)]
    # On a slow machine the grid fills more often than every fifty steps.
    assert [*dict.fromkeys(event.final for event in scored)] == [False, True]
    assert scored[-2].final is False
    picture = RunSnapshot()
    for event in received:
        picture = fold_event(picture, event)
    assert picture.nodes_final
    assert picture.finished is not None
    assert len(picture.nodes) == picture.model.n_layers * picture.model.n_heads  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_codes_and_scores(probe: Callable[..., Any], tmp_path: Path) -> None:
    first = probe()
    codes = load_file(tmp_path / "spool" / "codes.safetensors")["codes"]
    again = probe()
    assert torch.equal(codes, load_file(tmp_path / "spool" / "codes.safetensors")["codes"])
    assert first.last(Scored) == again.last(Scored)
    assert again.last(ProbeFinished).cached
    assert not first.last(ProbeFinished).cached


def test_what_a_head_says_does_not_depend_on_the_batch(model: Model, recorder: Any) -> None:
    examples = some(12)
    together = read_examples(model, examples, QUICK, recorder(), None)
    for index, example in enumerate(examples):
        alone = read_examples(model, [example], QUICK, recorder(), None)
        assert torch.allclose(alone.z[0], together.z[index], atol=1e-5)
        assert alone.says == [together.says[index]]


def test_a_reading_that_broke_off_goes_on_from_there(
    model: Model, recorder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.capture import activation_cache, batches
    from engine.capture import head_outputs as capture

    monkeypatch.setitem(batches._TOKENS_AT_ONCE, "cpu", 24)
    monkeypatch.setattr(activation_cache, "_PART_EVERY_S", -1.0)
    examples = some(12)
    whole = read_examples(model, examples, QUICK, recorder(), None)
    forward, passes = capture._forward, []

    def counted(*given: Any) -> Any:
        passes.append(len(given[1]))
        if len(passes) == 3:
            raise Cancelled
        return forward(*given)

    monkeypatch.setattr(capture, "_forward", counted)
    with pytest.raises(Cancelled):
        read_examples(model, examples, QUICK, recorder(), tmp_path)
    assert sum(passes) < len(examples)
    read_before = sum(passes[:2])
    rest = read_examples(model, examples, QUICK, recorder(), tmp_path)
    assert sum(passes[3:]) == len(examples) - read_before
    assert torch.equal(rest.z, whole.z)
    assert (rest.says, rest.expected, rest.foils) == (whole.says, whole.expected, whole.foils)
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []
    assert read_examples(model, examples, QUICK, recorder(), tmp_path).cached


def test_a_mean_before_w_o_is_a_mean_after_it(model: Model, recorder: Any) -> None:
    text = "When Mary and John went to the store"
    example = Example(prompt=text, polarity="positive")
    kept: list[torch.Tensor] = []
    ids, _ = model.encode(text)
    with torch.inference_mode():
        model.bridge.run_with_hooks(
            torch.tensor([ids]),
            fwd_hooks=[
                (
                    "blocks.1.attn.hook_z",
                    lambda z, hook: kept.append(z.clone()),  # noqa: ARG005  # passed by name
                )
            ],
        )
    by_hand = (kept[0][0, :, 3] @ model.output_weights[1, 3]).mean(dim=0)
    reading = read_examples(model, [example], QUICK, recorder(), None)
    node = 1 * model.info.n_heads + 3
    assert torch.allclose(head_outputs(model, reading.z)[0, node], by_hand, atol=1e-5)


@pytest.mark.parametrize(("one", "other"), [("last", "at:-1"), ("token:Mary", "at:1"), ("token: and", "at:2")])
def test_position_policies_agree_on_the_same_token(model: Model, recorder: Any, one: str, other: str) -> None:
    examples = [Example(prompt="When Mary and", polarity="positive")]
    found = [
        read_examples(model, examples, ProbeConfig(position=policy), recorder(), None).z for policy in (one, other)
    ]
    assert torch.equal(*found)


@pytest.mark.parametrize(("policy", "word"), [("at:99", "99"), ("token:zebra", "'zebra'")])
def test_a_position_that_is_not_there_is_named(model: Model, recorder: Any, policy: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        read_examples(
            model, [Example(prompt="When Mary", polarity="positive")], ProbeConfig(position=policy), recorder(), None
        )


def test_unpaired_unequal_and_uneven_sets_work(probe: Callable[..., Any]) -> None:
    received = probe(examples=tuple(some(11)), task=None)
    finished = received.last(ProbeFinished)
    assert (finished.examples.positive, finished.examples.negative) == (7, 4)
    nodes = received.last(Scored).nodes
    assert all(node.paired_flips is not None for node in nodes)
    without = probe(examples=tuple(example for example in some(11) if example.pair is None), task=None)
    assert all(node.paired_flips is None for node in without.last(Scored).nodes)
    assert not [event for event in without.events if isinstance(event, ReferenceKnown)]


@pytest.mark.parametrize("task", ["ioi", "induction"])
def test_the_default_recipe_ranks_the_measured_heads_first(probe: Callable[..., Any], task: str) -> None:
    """Draws of ten pairs give .90 to 1.00 (docs/lab, contrast-recipe); the published recipe .63 and .85 on average."""
    settled = ProbeConfig(sae=SAEConfig(sparsity=0.5), shuffles=0)
    received = probe(settled, task=task, pairs=10)
    found = agreement(received.last(Scored).nodes, (), received.last(ReferenceKnown).reference.heads)
    assert found.auc is not None
    assert found.auc > 0.88


def test_a_prompt_beyond_the_context_is_named(probe: Callable[..., Any]) -> None:
    long = Example(prompt="the river " * 10_000, polarity="positive")
    with pytest.raises(ExampleError, match=r"Example 1 \('the river the river"):
        probe(examples=(long, *some(4)), task=None)


def test_an_answer_of_two_tokens_is_broken_and_says_how_to_mend_it(probe: Callable[..., Any]) -> None:
    examples = (
        Example(prompt="Mary gave it to", polarity="positive", expected=("Nebuchadnezzar",)),
        Example(prompt="Mary gave it", polarity="negative"),
    )
    received = probe(examples=examples, task=None)
    grade = received.last(Graded).grades[0]
    assert grade.verdict == "broken"
    assert "Nebuchadnezzar" in grade.reason
    assert received.last(ProbeFinished).examples.broken == 1
    assert "1 of 2 examples are broken" in received.last(Notice).message


def test_a_run_with_copies_is_scored_on_its_way(probe: Callable[..., Any], model: Model) -> None:
    """Copies are left out of training, and so of the codes that scores on the way are made of."""
    made = find_task("ioi").make(model, pairs=6)
    copies = tuple(msgspec.structs.replace(each, pair=6) for each in made[:2])
    output = probe(examples=(*made[:2], *copies, *made[2:]), task=None)
    finals = [event.final for event in output.events if isinstance(event, Scored)]
    assert (finals[0], finals[-1]) == (False, True)


def test_good_examples_are_graded_ok_and_swapped_ones_are_not(probe: Callable[..., Any], model: Model) -> None:
    made = find_task("ioi").make(model, pairs=16)
    received = probe(examples=made, task=None)
    verdicts = [grade.verdict for grade in received.last(Graded).grades]
    # On a negative the small model may lean to either name; over many it is at chance (test_toy), over 16 not quite.
    assert verdicts[::2].count("ok") >= 0.9 * 16
    assert verdicts.count("ok") >= 0.7 * len(verdicts)
    swapped = tuple(
        Example(
            prompt=example.prompt,
            polarity="negative" if example.positive else "positive",
            expected=example.expected,
            foils=example.foils,
        )
        for example in made
    )
    received = probe(examples=swapped, task=None)
    graded = zip(received.last(Graded).grades, swapped, strict=True)
    judged = [grade.verdict for grade, example in graded if not example.positive]
    assert judged.count("broken") >= 0.8 * len(judged)


def test_stopping_takes_effect_at_the_next_step_and_keeps_what_was_told(
    probe: Callable[..., Any], recorder: Any
) -> None:
    def at_first_step(event: Event) -> bool:
        return isinstance(event, TrainStep)

    monitor = recorder(at_first_step)
    with pytest.raises(Cancelled):
        probe(ProbeConfig(sae=SAEConfig(steps=100_000)), monitor=monitor)
    assert isinstance(monitor.events[-1], TrainStep)
    assert monitor.last(Graded)


def test_a_damaged_cache_is_read_again_from_the_model(probe: Callable[..., Any], tmp_path: Path) -> None:
    first = probe()
    for file in (tmp_path / "acts").iterdir():
        file.write_bytes(b"garbage")
    again = probe()
    assert not again.last(ProbeFinished).cached
    assert again.last(Scored) == first.last(Scored)
