"""What parts the sides of a pair: against a slow reading of the same model, one prompt at a time."""

from collections.abc import Callable

import msgspec
import pytest
import torch
from torch import Tensor

from engine.capture.head_outputs import head_outputs, read_examples
from engine.config import LoadOptions, ProbeConfig, SAEConfig
from engine.events import Event
from engine.examples import Example
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.sae.contrast import contrast_apart
from engine.sae.training import prepare
from engine.scoring.score_table import pair_rows
from engine.tasks.registry import TASKS

CONFIG = ProbeConfig(sae=SAEConfig(sparsity=0.5))


class Quiet:
    def report(self, event: Event, /) -> None: ...

    def cancelled(self) -> bool:
        return False


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("toy", find_folders().models, LoadOptions(device="cpu"))


def slowly(model: Model, prompt: str) -> tuple[Tensor, Tensor]:
    """Every head's output, [position, layer, head, d_model], and the stream's length after each layer."""
    ids, _ = model.encode(prompt)
    info = model.info
    z: dict[int, Tensor] = {}
    streams: dict[int, Tensor] = {}

    def keep(into: dict[int, Tensor], layer: int) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            into[layer] = value[0].detach().clone()

        return hook

    hooks = [(f"blocks.{layer}.attn.hook_z", keep(z, layer)) for layer in range(info.n_layers)]
    hooks += [(f"blocks.{layer}.hook_out", keep(streams, layer)) for layer in range(info.n_layers)]
    with torch.inference_mode():
        model.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks, return_type=None)
    outputs = [
        torch.einsum("phd,hdm->phm", z[at].view(len(ids), info.n_heads, info.d_head), model.output_weights[at])
        for at in range(info.n_layers)
    ]
    return torch.stack(outputs, dim=1), torch.stack([streams[at].norm(dim=-1) for at in range(info.n_layers)], dim=1)


def test_each_head_is_read_where_its_pair_parts_most_as_a_share_of_the_streams_to_come(model: Model) -> None:
    examples = TASKS["ioi"].make(model, pairs=3, seed=5)
    pairs = pair_rows(examples)
    reading = read_examples(model, examples, CONFIG, Quiet(), None, pairs)
    assert reading.apart is not None
    assert reading.largest is not None
    found = head_outputs(model, reading.apart).view(3, model.info.n_layers, model.info.n_heads, -1)
    for number, (first, second) in enumerate(pairs.tolist()):
        (mine, my_streams), (theirs, their_streams) = (slowly(model, examples[row].prompt) for row in (first, second))
        shared = min(len(mine), len(theirs))
        difference = mine[-shared:] - theirs[-shared:]
        streams = (my_streams[-shared:] + their_streams[-shared:]) / 2
        lengths = difference.norm(dim=-1)
        assert torch.allclose(reading.largest[number], lengths.amax(dim=0), rtol=1e-4)
        for layer in range(model.info.n_layers):
            for head in range(model.info.n_heads):
                place = int((lengths[:, layer, head] / streams[:, layer]).argmax())
                share = float((1 / streams[place, layer:]).mean())
                assert torch.allclose(
                    found[number, layer, head], difference[place, layer, head] * share, rtol=1e-3, atol=1e-6
                )


def test_prompts_of_other_lengths_and_other_batches_change_nothing(model: Model) -> None:
    examples = [
        Example(prompt="Words: tree map basket pen sand tree", polarity="positive", pair=1),
        Example(prompt="Words: tree map basket pen iron sand tree", polarity="negative", pair=1),
        *(msgspec.structs.replace(one, pair=one.pair + 10) for one in TASKS["ioi"].make(model, pairs=4, seed=0)),  # type: ignore[operator]  # tasks number their pairs
    ]
    together = read_examples(model, examples, CONFIG, Quiet(), None, pair_rows(examples))
    alone = read_examples(model, examples[:2], CONFIG, Quiet(), None, pair_rows(examples[:2]))
    assert together.apart is not None
    assert alone.apart is not None
    assert torch.allclose(together.apart[0], alone.apart[0], rtol=1e-4, atol=1e-7)
    assert float(alone.apart.abs().max()) > 0


def test_exchanging_the_sides_turns_the_contrast_round(model: Model) -> None:
    examples = TASKS["induction"].make(model, pairs=3, seed=1)
    pairs = pair_rows(examples)
    there, back = (read_examples(model, examples, CONFIG, Quiet(), None, some).apart for some in (pairs, pairs.flip(1)))
    assert there is not None
    assert back is not None
    assert torch.allclose(there, -back)
    rows = contrast_apart(head_outputs(model, there), pairs)
    assert torch.equal(rows[pairs[:, 0]], -rows[pairs[:, 1]])


def test_only_a_set_that_is_all_in_pairs_is_read_apart() -> None:
    x = torch.randn(5, 8, 6, generator=torch.Generator().manual_seed(0))
    pairs = torch.tensor([[0, 1], [2, 3]])
    apart = torch.ones(2, 8, 6)
    with_odd = prepare(x, pairs, 4, CONFIG.sae, apart)
    assert torch.equal(with_odd, prepare(x, pairs, 4, CONFIG.sae))
    whole = prepare(x[:4], pairs, 4, CONFIG.sae, apart)
    assert not torch.equal(whole, prepare(x[:4], pairs, 4, CONFIG.sae))
    published = SAEConfig(recipe="published", sparsity=0.1)
    assert torch.equal(prepare(x[:4], pairs, 4, published, apart), prepare(x[:4], pairs, 4, published))


def test_mlps_and_embedding_are_compared_over_the_whole_prompt_as_shares_of_the_stream(model: Model) -> None:
    examples = TASKS["ioi"].make(model, pairs=2, seed=0)
    longer = msgspec.structs.replace(examples[0], prompt="Then " + examples[0].prompt)  # compared from the ends
    examples = (longer, *examples[1:])
    pairs = pair_rows(examples)
    reading = read_examples(model, examples, CONFIG, Quiet(), None, pairs, nodes="all")
    assert reading.outputs is not None
    assert reading.outputs_apart is not None
    for number, (first, second) in enumerate(pairs.tolist()):
        sides = [_outputs(model, examples[row].prompt) for row in (first, second)]
        shared = min(len(output) for output, _ in sides)
        (one, stream_one), (other, stream_other) = ((a[-shared:], b[-shared:]) for a, b in sides)
        wanted = ((one - other) / ((stream_one + stream_other) / 2)[:, :, None]).sum(dim=0)
        assert torch.allclose(reading.outputs_apart[number], wanted, atol=1e-4 * float(wanted.abs().max()))
    own = model.encode(examples[1].prompt)[1]
    output, _ = _outputs(model, examples[1].prompt)
    assert torch.allclose(reading.outputs[1], output[own].mean(dim=0), atol=1e-4)


def _outputs(model: Model, prompt: str) -> tuple[Tensor, Tensor]:
    """What embedding and MLPs write, [position, 1 + layer, d_model], and the length of the stream after each."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            found[name] = value[0].detach().clone()

        return hook

    layers = range(model.info.n_layers)
    names = ["blocks.0.hook_in", *(f"blocks.{at}.{which}" for at in layers for which in ("hook_mlp_out", "hook_out"))]
    tokens = torch.tensor([model.encode(prompt)[0]])
    with torch.inference_mode():
        model.bridge.run_with_hooks(tokens, fwd_hooks=[(name, keep(name)) for name in names], return_type=None)
    written = [found["blocks.0.hook_in"], *(found[f"blocks.{at}.hook_mlp_out"] for at in layers)]
    streams = [found["blocks.0.hook_in"], *(found[f"blocks.{at}.hook_out"] for at in layers)]
    return torch.stack(written, dim=1), torch.stack([each.norm(dim=-1) for each in streams], dim=1)
