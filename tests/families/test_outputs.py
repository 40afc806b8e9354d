"""What MLPs and the embedding write and do, in every attention family, against plain transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.capture.head_outputs import read_examples
from engine.config import LoadOptions, ProbeConfig
from engine.models.contributions import FINAL_NORM, READOUT
from engine.models.loading import Model, load_model
from engine.models.mlps import STREAM_BEGIN
from engine.nodes import NodeChoice, NodeId
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import measure_replaced, one_each

from ..engine.by_hand import prepared
from .build import saved
from .models import FAMILIES
from .plain_outputs import Outputs
from .test_families import EXACT, EXAMPLES, PROMPTS, apart

NOT_SHOWN = ("granite_moe_hybrid",)
"""TransformerLens has no hook for what their MLPs write."""
NOT_CONFIRMED = ("bert_decoder", "gemma4", "gemma4_images", "gpt1", "opt_post_norm")
"""A norm or a factor follows that is no part of the MLP: effects are right, and the notice says the rest."""
_BESIDE_OTHERS = ("falcon_h1", "bloom_post_norm")
"""More than attention and the MLP is added, or to something else than the layer's input."""
WHOLE: NodeChoice = "all"


@pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")  # of transformers, by the bridge
def test_mlps_and_embedding(family: str, tmp_path: Path, recorder: Any) -> None:
    torch.set_num_threads(1)
    plain = Outputs(saved(FAMILIES[family], tmp_path))
    model = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    notice = model.mlps.notice(family)
    if family in NOT_SHOWN:
        assert notice is not None
        assert "does not show" in notice.message
        assert model.layout(WHOLE) == model.layout("heads")
        return
    assert (notice is not None) == (family in NOT_CONFIRMED)
    assert model.mlps.parallel == (FAMILIES[family].after.middle is None)
    ids = [model.tokenizer(prompt).input_ids for prompt in PROMPTS]
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))

    reading = read_examples(model, EXAMPLES, ProbeConfig(), recorder(), None, torch.tensor([[0, 1]]), nodes=WHOLE)
    assert reading.outputs is not None
    assert reading.outputs_apart is not None
    assert (reading.outputs_apart[0].abs().amax(dim=1) > 0).all(), "no difference of the pair in some layer"
    if family not in (*NOT_CONFIRMED, *_BESIDE_OTHERS):
        for layer, added in enumerate(plain.added(ids[0])):
            assert apart(reading.outputs[0, 1 + layer], added.mean(0)) < EXACT, layer

    passes, inputs = prepared(model, EXAMPLES, recorder(), nodes=WHOLE, method="combined", replacement="pair")
    others = [node for node in passes.layout.ids if not node.is_head]
    found = (measure_replaced(passes, inputs, one_each(others, passes.layout)) - inputs.base_by_row)[:, 0]
    wanted = torch.tensor([plain.effect(ids[0], ids[1], node, mary, john) for node in others])
    assert float(wanted.abs().max()) > 0.01
    assert float((found - wanted).abs().max()) < EXACT * max(1.0, float(inputs.clean.logits.abs().max()))

    # At the positives, a node's difference times its gradient is the slope of its effect.
    assert inputs.clean.output_gradients is not None
    slopes = [
        float((apart_by * gradient).sum())
        for apart_by, gradient in zip(inputs.outputs_apart(slice(None)), inputs.clean.output_gradients, strict=True)
    ]
    found = _slopes(model, passes, inputs, others)
    assert slopes == pytest.approx(found, abs=0.02 * max(map(abs, found)))


def _slopes(model: Model, passes: ForwardPasses, inputs: PatchingInputs, others: list[NodeId]) -> list[float]:
    """The effect of a small step towards the other side less that of one away from it, over both steps.

    Longer steps leave the neighbourhood in which a norm is nearly straight; of shorter ones float32 leaves noise.
    """
    step, clean, found = 3e-3, inputs.clean, []
    outputs = [clean.residual[0], *clean.mlps]
    names = [STREAM_BEGIN, *map(model.mlps.hook, range(model.info.n_layers))]
    for number, (output, by) in enumerate(zip(outputs, inputs.outputs_apart(slice(None)), strict=True)):
        ends = []
        for moved in (output + step * by, output - step * by):
            hooks = [(names[number], lambda _output, hook, instead=moved: instead)]  # noqa: ARG005
            with torch.no_grad():
                logits = passes.run(inputs.tokens, inputs.last, more_hooks=hooks)
            ends.append(float(inputs.answer_metric(logits)))
        found.append((ends[0] - ends[1]) / (2 * step))
    assert len(found) == len(others)
    return found


NO_DIRECT = ("bert_decoder", "gpt1", "modernbert_decoder", "opt_post_norm")
"""Families without a final norm that leads straight to the logits."""
ALSO_WRITE = ("falcon_h1", "gemma4", "gemma4_images", "bloom_post_norm")
"""Families in which more than attention, MLPs and biases is added to the stream, or what is added is scaled later."""


@pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")
def test_direct_effects_add_up_to_the_answer(family: str, tmp_path: Path, recorder: Any) -> None:
    torch.set_num_threads(1)
    plain = saved(FAMILIES[family], tmp_path)
    model = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    assert bool(model.directions.why_not) == (family in NO_DIRECT)
    if family in (*NO_DIRECT, *NOT_SHOWN):
        return
    reading = read_examples(model, EXAMPLES, ProbeConfig(), recorder(), None, torch.tensor([[0, 1]]), nodes=WHOLE)
    assert reading.direct is not None
    assert reading.answer is not None
    ids = model.tokenizer(PROMPTS[0]).input_ids
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))
    logits, _ = plain.run(ids)
    difference = float(logits[mary] - logits[john])
    if not model.directions.capped:
        assert float(reading.answer[0]) == pytest.approx(difference, rel=EXACT, abs=EXACT * float(logits.abs().max()))
    else:
        assert abs(float(reading.answer[0])) >= abs(difference)
    if family in ALSO_WRITE:
        return
    total = float(reading.direct[0].sum()) + _biases(model, ids, mary, john)
    assert total == pytest.approx(float(reading.answer[0]), abs=1e-4 * float(reading.direct[0].abs().max()))


def _biases(model: Model, ids: list[int], answer: int, foil: int) -> float:
    """What attention's biases and those of the final norm and the unembedding add to the logit difference."""
    direction, constant = model.directions.of((answer,), (foil,))
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            kept[name] = value.detach()  # the last call counts

        return hook

    factors: dict[int, Tensor] = {}
    hooks = [(name, keep(name)) for name in (FINAL_NORM, READOUT)]
    hooks += model.contributions.position_hooks(factors.__setitem__)
    with torch.no_grad():
        model.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=hooks, return_type="logits")
    divisor = model.directions.divisor(kept[FINAL_NORM][:, -1], kept[READOUT][:, -1])
    total = torch.zeros(model.info.d_model)
    for layer, block in enumerate(model.bridge.blocks):
        bias = getattr(block.attn.o.original_component, "bias", None)
        if bias is not None:
            factor = factors[layer].reshape(1, -1)[0, -1] if layer in factors else 1.0
            gain = model.contributions.gains.get(layer, torch.tensor(1.0))
            total += bias.detach().float() * model.contributions.scales[layer] * gain * factor
    return float(total @ direction * divisor) + constant
