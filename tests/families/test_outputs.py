"""What MLPs and the embedding write and do, in every attention family, against plain transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.capture.head_outputs import read_examples
from engine.config import LoadOptions, ProbeConfig
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
    """The effect of a small step towards the other side, over the step."""
    step, clean, found = 1e-3, inputs.clean, []
    outputs = [clean.residual[0], *clean.mlps]
    moved = [output + step * by for output, by in zip(outputs, inputs.outputs_apart(slice(None)), strict=True)]
    names = [STREAM_BEGIN, *map(model.mlps.hook, range(model.info.n_layers))]
    for number in range(len(others)):
        hooks = [(names[number], lambda _output, hook, instead=moved[number]: instead)]  # noqa: ARG005
        with torch.no_grad():
            logits = passes.run(inputs.tokens, inputs.last, more_hooks=hooks)
        found.append(float(inputs.answer_metric(logits) - inputs.base_by_row) / step)
    return found
