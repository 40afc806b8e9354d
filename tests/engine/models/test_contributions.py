"""What heads add to the stream: norms after attention, what is left as it was, and what cannot be confirmed."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from engine.capture.activation_cache import VERSION
from engine.capture.head_outputs import read_examples
from engine.capture.prompts import answers_of, encode_prompt
from engine.config import LoadOptions, ProbeConfig, SAEConfig
from engine.errors import ModelError
from engine.events import Notice
from engine.examples import Example
from engine.models.contributions import Contributions, RecordedPass, norm_gain
from engine.models.head_layout import output_matrices
from engine.models.loading import Model, load_model
from engine.models.warm_model import WarmModel
from engine.protocol import RunProbe
from engine.worker.pipeline import ProbeJob

from ...families.build import saved
from ...families.models import FAMILIES
from ..by_hand import ioi
from ..plain import Plain

TOKENS = torch.tensor([[3, 7, 5]])


@pytest.fixture(scope="module")
def gemma2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Plain]:
    folder = tmp_path_factory.mktemp("gemma2")
    plain = saved(FAMILIES["gemma2"], folder)
    return load_model(str(folder), folder, LoadOptions(device="cpu")), plain


def again(model: Model) -> Contributions:
    return Contributions(model.bridge, model.info.n_heads, RecordedPass(model.bridge, TOKENS))


def test_without_such_norms_nothing_changes_to_the_last_bit(model: Model, recorder: Any, tmp_path: Path) -> None:
    contributions = model.contributions
    assert not contributions.gains
    assert not contributions.unconfirmed
    assert contributions.position_hooks(dict[int, Tensor]().__setitem__) == []
    for matrix, plain in zip(contributions.weights, output_matrices(model.bridge, model.info.n_heads), strict=True):
        assert torch.equal(matrix, plain)
    (example, *_) = ioi(model)
    ids, own = encode_prompt(model, 0, example)
    reading = read_examples(model, [example], ProbeConfig(), recorder(), tmp_path)
    weights = torch.tensor([each / sum(own) for each in own])
    for layer in range(model.info.n_layers):
        kept: list[Tensor] = []
        hook = (f"blocks.{layer}.attn.hook_z", lambda z, hook, kept=kept: kept.append(z.clone()))  # noqa: ARG005
        with torch.inference_mode():
            model.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=[hook])
        z = kept[0].view(1, len(ids), model.info.n_heads, -1)
        assert torch.equal(reading.z[0, layer], torch.einsum("bphd,bp->bhd", z, weights[None])[0])
    content = (model.info.identity, "cpu", "mean", [ids], [answers_of(model, example)], [], VERSION)
    (file,) = tmp_path.glob("*.safetensors")
    assert file.stem == hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def test_with_them_activations_are_not_taken_for_those_of_earlier_versions(
    gemma2: tuple[Model, Plain], recorder: Any, tmp_path: Path
) -> None:
    model, _ = gemma2
    example = Example(prompt="When Mary and John left, John gave a ring to", polarity="positive", expected=("Mary",))
    now = read_examples(model, [example], ProbeConfig(), recorder(), tmp_path)
    gains, model.contributions.gains = model.contributions.gains, {}
    try:
        before = read_examples(model, [example], ProbeConfig(), recorder(), tmp_path)
    finally:
        model.contributions.gains = gains
    assert not before.cached
    assert len([*tmp_path.glob("*.safetensors")]) == 2
    assert not torch.allclose(now.z, before.z, rtol=0.1)
    assert read_examples(model, [example], ProbeConfig(), recorder(), tmp_path).cached


def test_a_gain_is_read_however_the_family_stores_it(model: Model, gemma2: tuple[Model, Plain]) -> None:
    gemma, plain = gemma2
    found = norm_gain(gemma.bridge.ln_final, 32)
    assert found is not None
    assert torch.allclose(found, 1 + plain.model.model.norm.weight.detach())
    assert torch.allclose(gemma.contributions.gains[1], 1 + plain.layers[1].post_attention_layernorm.weight.detach())
    assert norm_gain(model.bridge.ln_final, model.info.d_model) is None  # a LayerNorm shifts, too


def test_what_does_not_add_up_is_left_as_it_leaves_the_heads_and_told(gemma2: tuple[Model, Plain]) -> None:
    model, _ = gemma2
    handle = model.bridge.blocks[1].ln1_post.register_forward_hook(lambda _module, _given, output: 1.5 * output)
    try:
        found = again(model)
    finally:
        handle.remove()
    assert 1 in found.unconfirmed
    assert not found.gains
    for matrix, plain in zip(found.weights, output_matrices(model.bridge, 4), strict=True):
        assert torch.equal(matrix, plain)
    notice = found.notice("gemma2")
    assert notice is not None
    assert "gemma2 add to the stream is not confirmed in 3 of 3 layers (the first is 0)" in notice.message
    assert again(model).notice("gemma2") is None


def test_a_factor_unknown_to_headcode_is_noticed(model: Model) -> None:
    handle = model.bridge.blocks[1].attn.register_forward_hook(
        lambda _module, _given, output: (1.02 * output[0], *output[1:])
    )
    try:
        assert again(model).unconfirmed == (1,)
    finally:
        handle.remove()


def test_a_run_says_so(tmp_path: Path, recorder: Any) -> None:
    warm = WarmModel()
    model, _ = warm.take("toy", tmp_path, LoadOptions(device="cpu"))
    model.contributions.unconfirmed = (2,)
    monitor = recorder()
    request = RunProbe(
        job="1",
        examples=ioi(model),
        config=ProbeConfig(sae=SAEConfig(steps=5), seeds=(0,), shuffles=0),
        model="toy",
        models=str(tmp_path),
        activations=str(tmp_path / "activations"),
        device="cpu",
        spool=str(tmp_path / "spool"),
    )
    ProbeJob(request, warm, monitor).run()
    messages = [event.message for event in monitor.events if isinstance(event, Notice)]
    assert any("toy add to the stream is not confirmed in 1 of" in message for message in messages)


def test_layers_that_run_twice_in_a_pass_are_refused(model: Model) -> None:
    block = model.bridge.blocks[1]
    once = block.forward

    def twice(stream: Tensor, *args: Any, **named: Any) -> Any:
        once(stream, **{name: value for name, value in named.items() if name == "attention_mask"})
        return once(stream, *args, **named)

    vars(block)["forward"] = twice
    try:
        with pytest.raises(ModelError, match="GPT2LMHeadModel runs its layers 2 times in one pass"):
            again(model)
    finally:
        del vars(block)["forward"]
