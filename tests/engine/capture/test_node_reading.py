"""Some nodes read over trees of prompts: the numbers of a run's capture, without the layers that do not matter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.capture.code_reader import TokenPair
from engine.capture.head_outputs import read_examples
from engine.capture.node_reading import NodeReader
from engine.capture.prefix_trees import in_rows, pack, reads_trees, run_until
from engine.catalog.local_models import bundled_folder
from engine.config import DEFAULTS, LoadOptions
from engine.events import SilentMonitor
from engine.examples import Example
from engine.explaining.prompt_sets import token_pairs
from engine.models.loading import Model, load_model
from engine.nodes import EMBEDDING, NodeId
from engine.scoring.score_table import pair_rows
from engine.tasks.registry import TASKS


def loaded(kind: str, folder: Path) -> Model:
    """A small random model of a family that reads trees, or of one that cannot."""
    from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM, MistralConfig, MistralForCausalLM

    torch.manual_seed(5)
    tokenizer = AutoTokenizer.from_pretrained(str(bundled_folder()))
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    if kind == "bloom":  # positions follow from the order of the row
        made: Any = BloomForCausalLM(BloomConfig(**sizes, initializer_range=0.3))
    else:
        window = 6 if kind == "window" else None  # sees the last tokens of a row only
        made = MistralForCausalLM(
            MistralConfig(
                **sizes, num_key_value_heads=2, intermediate_size=48, initializer_range=0.3, sliding_window=window
            )
        )
    made.save_pretrained(folder / kind)
    tokenizer.save_pretrained(folder / kind)
    return load_model(str(folder / kind), folder, LoadOptions(device="cpu"))


@pytest.fixture(params=["toy", "mistral", "window", "bloom"])
def any_model(request: pytest.FixtureRequest, model: Model, tmp_path: Path) -> tuple[str, Model]:
    return request.param, model if request.param == "toy" else loaded(request.param, tmp_path)


def the_pairs(model: Model) -> tuple[tuple[Example, ...], list[TokenPair]]:
    """Pairs with common beginnings, one side longer in some."""
    examples = (*TASKS["ioi"].make(model, pairs=3, seed=5), *TASKS["greater_than"].make(model, pairs=3, seed=5))
    numbered = [Example(prompt=each.prompt, polarity=each.polarity, pair=n // 2) for n, each in enumerate(examples)]
    numbered[0] = Example(prompt=f"Then {numbered[0].prompt}", polarity=numbered[0].polarity, pair=0)
    return tuple(numbered), list(token_pairs(model, numbered, paired=True))


def test_nodes_are_read_as_in_a_run(any_model: tuple[str, Model]) -> None:
    kind, model = any_model
    assert reads_trees(model) == (kind in ("toy", "mistral"))
    examples, pairs = the_pairs(model)
    rows = pair_rows(examples)
    run = read_examples(model, examples, DEFAULTS, SilentMonitor(), None, rows, "all")
    prompts = [each.own for each in pairs]
    assert run.apart is not None
    assert run.outputs is not None
    assert run.outputs_apart is not None
    nodes = model.layout("all").ids
    for wanted in (nodes, [NodeId(1, 2)], [NodeId(1, -1)], [EMBEDDING]):
        reader = NodeReader(model, wanted, model.output_weights, SilentMonitor())
        apart = reader.differences(prompts, [(int(first), int(second)) for first, second in rows])
        n_before = len(model.tokens.before)
        weights = [[0.0] * n_before + [1 / (len(ids) - n_before)] * (len(ids) - n_before) for ids in prompts]
        pooled = reader.pooled(prompts, weights)
        for node in wanted:
            if node.is_head:
                place = (slice(None), node.layer, node.head)
                read = ((apart.z, run.apart), (pooled.z, run.z))
            else:
                place = (slice(None), 1 + node.layer)
                read = ((apart.outputs, run.outputs_apart), (pooled.outputs, run.outputs))
            for found, expected in read:
                scale = float(expected[place].abs().max())
                assert torch.allclose(found[place], expected[place], rtol=1e-4, atol=1e-5 * scale), node


def test_a_pass_has_no_more_tokens_than_fit(any_model: tuple[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """A common beginning saves nothing where each prompt has a row of its own, and little where rows repeat it."""
    kind, model = any_model
    source = torch.Generator().manual_seed(0)
    begins = torch.randint(model.info.vocabulary, (90,), generator=source).tolist()
    prompts = [(*begins, end) for end in range(120)]
    sizes: list[int] = []

    def run(model: Model, packed: Any, hooks: Any, last: int) -> None:
        sizes.append(packed.tokens.numel())
        run_until(model, packed, hooks, last)

    monkeypatch.setattr("engine.capture.node_reading.run_until", run)
    reader = NodeReader(model, [NodeId(0, 1)], model.output_weights, SilentMonitor())
    reader.pooled(prompts, [[1.0] * len(each) for each in prompts])
    assert max(sizes) <= 1024
    assert (len(sizes) == 2) == (kind in ("toy", "mistral"))
    assert sum(sizes) == 120 * 91 or kind in ("toy", "mistral")
    sizes.clear()
    reader.differences(prompts, [(2 * pair, 2 * pair + 1) for pair in range(60)])
    assert max(sizes) <= 1024


@pytest.mark.parametrize(("node", "paired", "layers"), [("0.1", False, 1), ("m1", True, 2), ("0.1", True, 4)])
def test_no_layer_runs_that_does_not_matter(node: str, paired: bool, layers: int, model: Model) -> None:
    _, pairs = the_pairs(model)
    prompts = [each.own for each in pairs]
    ran: set[int] = set()

    def note(layer: int) -> Callable[..., None]:
        return lambda *_: ran.add(layer)

    handles = [block.attn.register_forward_hook(note(layer)) for layer, block in enumerate(model.bridge.blocks)]
    reads_trees(model)
    ran.clear()
    try:
        wanted = [next(each for each in model.layout("all").ids if str(each) == node)]
        reader = NodeReader(model, wanted, model.output_weights, SilentMonitor())
        if paired:
            reader.differences(prompts, [(0, 1)])
        else:
            reader.pooled(prompts, [[1.0] * len(each) for each in prompts])
    finally:
        for handle in handles:
            handle.remove()
    assert model.info.n_layers == 4
    assert ran == {*range(layers)}


def test_a_tree_holds_every_prompt_and_common_beginnings_once() -> None:
    prompts = [(5, 6, 7), (5, 6, 8, 9), (5,), (6, 5), (5, 6, 7), (4, 4, 4, 4, 4, 4, 4)]
    packed = pack(prompts, 6)
    assert packed.sees is not None
    assert packed.positions is not None
    beginnings = {prompt[:end] for prompt in prompts for end in range(1, len(prompt) + 1)}
    used = set()
    for prompt, row, places in zip(prompts, packed.rows, packed.places, strict=True):
        assert packed.tokens[row, places].tolist() == list(prompt)
        assert packed.positions[row, places].tolist() == [*range(len(prompt))]
        for at, place in enumerate(places):
            assert packed.sees[row, place].nonzero().flatten().tolist() == sorted(places[: at + 1])
        used |= {(row, place) for place in places}
    # The prompt of seven tokens has a row of its own; "5 6 7" stands there once.
    assert packed.rows[5] not in packed.rows[:5]
    assert len(used) <= len(beginnings) + 2
    assert packed.places[0] == packed.places[4]
    assert packed.sees.diagonal(dim1=1, dim2=2).all()
    alone = in_rows(prompts)
    assert alone.tokens.shape == (6, 7)
    assert alone.places[3] == [0, 1]
