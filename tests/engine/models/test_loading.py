"""Models that scale what heads write, or whose positions depend on a prompt's length, against plain transformers."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from engine.capture.head_outputs import head_outputs, read_examples
from engine.catalog.local_models import bundled_folder
from engine.config import LoadOptions, ProbeConfig, SAEConfig
from engine.errors import ModelError
from engine.examples import Example
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.patching.attribution import attribute
from engine.patching.edge_attribution import attribute_edges
from engine.patching.edge_patching import measure_edges

from ...families.build import write
from ...families.models import FAMILIES
from ..by_hand import all_heads, exact, ioi, prepared, with_edge, with_head

CONFIG = ProbeConfig(sae=SAEConfig(sparsity=0.5), position="last")
TRAINED = 40
"""Tokens that the models of this file with positions by length were trained on."""


def saved(config: Any, folder: Path) -> tuple[Model, Any]:
    """A small random model of that configuration: as Headcode loads it, and as transformers does."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(bundled_folder())).save_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    return load_model(str(folder), folder, LoadOptions(device="cpu")), plain


def shape(**more: Any) -> dict[str, Any]:
    from transformers import AutoTokenizer

    return {
        "vocab_size": len(AutoTokenizer.from_pretrained(str(bundled_folder()))),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "pad_token_id": 0,
    } | more


@pytest.fixture
def granite(tmp_path: Path) -> tuple[Model, Any]:
    from transformers import GraniteConfig

    config = GraniteConfig(**shape(residual_multiplier=0.22, embedding_multiplier=3.0, attention_multiplier=0.3))
    return saved(config, tmp_path / "granite")


def longrope() -> Any:
    from transformers import Phi3Config

    scaling = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [1.0, 2.0, 5.0, 9.0],
        "original_max_position_embeddings": TRAINED,
    }
    more = {"max_position_embeddings": 128, "original_max_position_embeddings": TRAINED, "rope_parameters": scaling}
    return Phi3Config(**shape(**more))


def dynamic() -> Any:
    from transformers import LlamaConfig

    scaling = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    return LlamaConfig(**shape(max_position_embeddings=TRAINED, rope_parameters=scaling))


def test_heads_of_granite_write_what_reaches_the_stream(
    granite: tuple[Model, Any], recorder: Callable[..., Any]
) -> None:
    model, plain = granite
    example = Example(prompt="Mary and John went to the shop and", polarity="positive")
    reading = read_examples(model, [example], CONFIG, recorder(), None)
    mine = head_outputs(model, reading.z)[0].view(3, 4, 32).sum(dim=1)
    before: list[Tensor] = []
    after: list[Tensor] = []
    for layer in plain.model.layers:
        layer.register_forward_pre_hook(
            lambda _module, given, named: before.append(given[0] if given else named["hidden_states"]), with_kwargs=True
        )
        layer.post_attention_layernorm.register_forward_pre_hook(lambda _module, given: after.append(given[0]))
    with torch.no_grad():
        plain(torch.tensor([model.encode(example.prompt)[0]]))
    added = torch.stack([(late - early)[0, -1] for early, late in zip(before, after, strict=True)])
    assert torch.allclose(mine, added, atol=1e-5)


def test_edges_of_granite_are_what_plain_hooks_do(granite: tuple[Model, Any], recorder: Callable[..., Any]) -> None:
    model, plain = granite
    weights = plain.model.layers[0].self_attn.o_proj.weight.view(32, 4, 8).permute(1, 2, 0) * 0.22
    assert torch.allclose(model.output_weights[0], weights)
    passes, inputs = prepared(model, ioi(model), recorder())
    edge = (NodeId(0, 1), NodeId(2, 3))
    by_hand = inputs.answer_metric(with_edge(model, inputs, *edge))
    assert torch.allclose(measure_edges(passes, inputs, [edge])[0], by_hand, atol=2e-4)
    # A thousandth of the way the change is the gradient's.
    near = (inputs.answer_metric(with_edge(model, inputs, *edge, share=1e-2)) - inputs.base_by_row).mean() / 1e-2
    estimated = attribute_edges(passes, inputs, points=(0.0,))[1, 11]
    assert float(estimated) == pytest.approx(float(near), rel=0.05, abs=1e-4)


@pytest.mark.parametrize("kind", [longrope, dynamic])
def test_a_short_prompt_answers_the_same_beside_and_after_a_long_one(
    kind: Callable[[], Any], tmp_path: Path, recorder: Callable[..., Any]
) -> None:
    model, plain = saved(kind(), tmp_path / "model")
    model.info = msgspec.structs.replace(model.info, context=128)
    words = "Mary and John went to the shop and then Mary gave a book to the man who went to the house"
    prompts = [words[:20], words, f"{words} and {words}", f"{words} and then {words}"]
    examples = [Example(prompt=prompt, polarity="positive") for prompt in prompts]
    lengths = [len(model.encode(prompt)[0]) for prompt in prompts]
    assert lengths[0] < lengths[1] <= TRAINED < lengths[2] < lengths[3]
    together = read_examples(model, examples, CONFIG, recorder(), None)
    for row, example in enumerate(examples):
        alone = read_examples(model, [example], CONFIG, recorder(), None)
        assert torch.allclose(together.z[row], alone.z[0], atol=1e-5)
        fresh = type(plain)(plain.config).eval()
        fresh.load_state_dict(plain.state_dict())
        with torch.no_grad():
            answer = fresh(torch.tensor([model.encode(example.prompt)[0]])).logits[0, -1].softmax(dim=-1)
        assert together.says_probability[row] == pytest.approx(float(answer.max()), abs=1e-5)
        assert together.says[row] == int(answer.argmax())


def test_effects_with_long_positions_are_what_plain_hooks_do(tmp_path: Path, recorder: Callable[..., Any]) -> None:
    model, _ = saved(longrope(), tmp_path / "model")
    long = "Then we saw that they had a lot of work to do and then we all went to the house. "
    examples = []
    for place, example in enumerate(ioi(model)):
        before = long if place < 4 else ""
        examples.append(
            Example(
                prompt=before + example.prompt,
                polarity=example.polarity,
                expected=example.expected,
                foils=example.foils,
                pair=example.pair,
            )
        )
    lengths = [len(model.encode(example.prompt)[0]) for example in examples]
    assert max(lengths[4:]) <= TRAINED < min(lengths[:4])
    passes, inputs = prepared(model, examples, recorder())
    heads = all_heads(model)[::3]
    effects = exact(model, passes, inputs, heads)
    assert torch.isfinite(attribute(passes, inputs)).all()
    for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
        answers = [model.tokens.alone(" " + texts[0].strip())[0] for texts in (one.expected, one.foils)]
        for place, head in enumerate(heads):
            clean, patched = with_head(model, one, other, head)
            by_plain = (patched[answers[0]] - patched[answers[1]]) - (clean[answers[0]] - clean[answers[1]])
            assert float(effects[place, row]) == pytest.approx(float(by_plain), abs=5e-4)


def test_a_bridge_that_cannot_compute_is_refused_on_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformer_lens.model_bridge import TransformerBridge

    def missing(*_: object, **__: object) -> None:
        raise AttributeError("'Attention' object has no attribute 'embed_positions'")

    monkeypatch.setattr(TransformerBridge, "forward", missing)
    with pytest.raises(ModelError, match=r"toy \(GPT2LMHeadModel\) cannot be loaded: 'Attention' object"):
        load_model("toy", tmp_path, LoadOptions(device="cpu"))


def test_a_model_that_reads_images_is_given_text_and_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(command: list[str], **_: object) -> None:
        installed.append(command)
        raise OSError

    installed: list[list[str]] = []
    monkeypatch.setattr(subprocess, "check_call", install)
    write(FAMILIES["llava"], tmp_path)
    model = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    assert (model.info.n_layers, model.info.n_heads) == (3, 4)
    assert installed == []
