"""Neurons of MLPs in every attention family, against plain transformers: what they read, write and do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.config import LoadOptions
from engine.errors import ModelError
from engine.models.loading import load_model
from engine.models.neurons import MlpNeurons
from engine.patching.neuron_patching import NeuronSides, measure_neurons

from ..engine.by_hand import prepared
from ..engine.plain import Plain
from .build import saved
from .models import FAMILIES
from .test_families import EXACT, EXAMPLES, PROMPTS

EXPERTS = {
    "flex_olmo": (0, 1, 2),
    "gpt_oss": (0, 1, 2),
    "granite_moe": (0, 1, 2),
    "granite_moe_hybrid": (0, 1, 2),
    "minimax_m2": (0, 1, 2),
    "mixtral": (0, 1, 2),
    "olmoe": (0, 1, 2),
    "qwen2_moe": (0, 1, 2),
    "qwen3_moe": (0, 1, 2),
    **dict.fromkeys(("afmoe", "deepseek_experts", "deepseek3", "ernie4_5_moe"), (1, 2)),
    **dict.fromkeys(("glm4_moe", "glm4_moe_lite", "laguna"), (1, 2)),
}
"""Layers without neurons: their MLPs are mixtures of experts."""
NO_INPUTS = ("modernbert_decoder",)
"""Both input projections are one matrix, whose halves TransformerLens does not show."""
_DOWN = ("down_proj", "dense_4h_to_h", "fc2", "fc_out", "c_proj", "output.dense", "mlp.Wo", "output_linear", "w2")
NEURONS = (0, 7, 13, 21, 40)


def down_projection(layer: nn.Module) -> nn.Module:
    """The layer's last module of these names: attention may have one of the same name before the MLP."""
    found = [
        module
        for name, module in layer.named_modules()
        if name.endswith(_DOWN) and "attention.output" not in name and ".attn." not in f".{name}"
    ]
    assert found, type(layer).__name__
    return found[-1]


def effects(plain: Plain, ids: Sequence[Sequence[int]], layer: int, answers: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Activations on the first prompt, and what the logit difference gains per neuron that is replaced alone."""
    down, kept = down_projection(plain.layers[layer]), list[Tensor]()
    handle = down.register_forward_pre_hook(lambda _module, args: kept.append(args[0].clone()))
    clean, _ = plain.run(ids[0])
    plain.run(ids[1])
    handle.remove()
    found = []
    for neuron in NEURONS:

        def replace(_module: nn.Module, args: Any, neuron: int = neuron) -> Any:
            changed = args[0].clone()
            changed[..., neuron] = kept[1][..., neuron]
            return (changed, *args[1:])

        handle = down.register_forward_pre_hook(replace)
        patched, _ = plain.run(ids[0])
        handle.remove()
        found.append((patched[answers[0]] - patched[answers[1]]) - (clean[answers[0]] - clean[answers[1]]))
    return kept[0].reshape(len(ids[0]), -1), torch.stack(found)


@pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")  # of transformers, by the bridge
def test_neurons(family: str, tmp_path: Path, recorder: Any) -> None:
    torch.set_num_threads(1)
    plain = saved(FAMILIES[family], tmp_path)
    model = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    for layer in EXPERTS.get(family, ()):
        with pytest.raises(ModelError, match=f"neurons of m{layer}") as refused:
            MlpNeurons(model, layer)
        assert refused.value.hint
    layers = [layer for layer in range(3) if layer not in EXPERTS.get(family, ())]
    if not layers:
        return
    ids = [model.tokenizer(prompt).input_ids for prompt in PROMPTS]
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))
    passes, inputs = prepared(model, EXAMPLES, recorder(), nodes="all", replacement="pair")
    for layer in {layers[0], layers[-1]}:
        neurons = MlpNeurons(model, layer)
        rows = neurons.output_rows()
        assert rows.shape == (neurons.n_neurons, 32)
        assert torch.equal(neurons.output_rows([7]), rows[7:8])
        reads = neurons.input_rows(7)
        assert (reads == {}) == (family in NO_INPUTS)
        assert all(row.shape == (32,) and bool(row.abs().max() > 0) for row in reads.values())

        sides = NeuronSides(passes, inputs, neurons)
        with torch.no_grad():
            activations, wanted = effects(plain, ids, layer, (mary, john))
        assert float((sides.clean[0] - activations).abs().max()) < EXACT * max(1.0, float(activations.abs().max()))
        found = measure_neurons(passes, inputs, sides, NEURONS)[:, 0]
        most = max(1.0, float(inputs.clean.logits.abs().max()))
        assert float((found - wanted).abs().max()) < EXACT * most
        assert float(wanted.abs().max()) > 0
