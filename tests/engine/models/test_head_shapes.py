"""Compare heads of other shapes and blocks with other outputs with plain transformers, family by family."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch

from engine.capture.head_outputs import head_outputs, read_examples
from engine.catalog.model_shape import shape_of
from engine.config import LoadOptions, ProbeConfig
from engine.errors import ModelError
from engine.examples import Example
from engine.grading.rules import grade_examples
from engine.models.head_layout import check_heads
from engine.models.loading import Model, load_model
from engine.models.warm_model import WarmModel
from engine.nodes import NodeId
from engine.patching.attribution import attribute
from engine.patching.edge_patching import all_edges, measure_edges
from engine.protocol import InspectHead
from engine.worker.head_inspection import Inspector

from ...families.build import Family, saved, write
from ...families.models import FAMILIES
from ...families.refused import REFUSED
from ..by_hand import all_heads, exact, prepared, with_edge
from ..plain import Plain, byte_level, llama

PROMPTS = ("When Mary and John left, John gave a ring to", "When Mary and John left, Paul gave a ring to")
EXAMPLES = tuple(
    Example(prompt=prompt, polarity=side, expected=("Mary",), foils=("John",), pair=1)  # type: ignore[arg-type]
    for prompt, side in zip(PROMPTS, ("positive", "negative"), strict=True)
)


ODD = ("gemma4", "deepseek", "gpt1", "falcon", "falcon_ungrouped")
"""Of tests/families: heads of two sizes, values of another size than keys, blocks that return lists, fused keys."""


class Made(NamedTuple):
    """A family's model on the disk, as Headcode has it and as transformers has."""

    name: str
    folder: Path
    model: Model
    plain: Plain


@pytest.fixture(scope="module", params=ODD)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    return Made(request.param, folder, *made(FAMILIES[request.param], folder))


def made(family: Family, folder: Path) -> tuple[Model, Plain]:
    torch.set_num_threads(1)
    plain = saved(family, folder)
    return load_model(str(folder), folder.parent, LoadOptions(device="cpu")), plain


def test_heads_write_and_do_what_plain_hooks_say(family: Made, recorder: Any) -> None:
    model, plain = family.model, family.plain
    ids = [model.tokenizer(prompt).input_ids for prompt in PROMPTS]
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))
    logits, _ = plain.run(ids[0])

    reading = read_examples(model, EXAMPLES, ProbeConfig(), recorder(), None, torch.tensor([[0, 1]]))
    (grade, _) = grade_examples(model, EXAMPLES, reading)
    assert grade.probability == pytest.approx(float(logits.softmax(-1)[mary]), rel=1e-3)
    outputs = head_outputs(model, reading.z)
    for layer, heads in enumerate(plain.contributions(ids[0])):
        assert torch.allclose(outputs[0, layer * 4 : layer * 4 + 4], heads[:, :4].mean(0), atol=1e-4)

    passes, inputs = prepared(model, EXAMPLES, recorder(), method="exact", replacement="pair")
    effects = exact(model, passes, inputs, all_heads(model))[:, 0]
    wanted = torch.tensor([plain.effect(ids[0], ids[1], head, mary, john) for head in all_heads(model)])
    assert float(wanted.abs().max()) > 0.01
    assert torch.allclose(effects, wanted, atol=2e-3)


def test_edges_and_estimates_of_such_heads(family: Made, recorder: Any) -> None:
    model, plain = family.model, family.plain
    passes, inputs = prepared(model, EXAMPLES, recorder(), method="attribution", replacement="pair")
    edges = [edge for edge in all_edges(passes.layout) if edge[0].head == 1 and edge[1].head == 2]
    found = measure_edges(passes, inputs, edges)
    for edge, metric in zip(edges, found, strict=True):
        by_hooks = inputs.answer_metric(with_edge(model, inputs, *edge))
        assert torch.allclose(metric, by_hooks, atol=2e-3)
    # The estimate: the slope along the way to the other side, here by a small step of it in plain transformers.
    ids = [model.tokenizer(prompt).input_ids for prompt in PROMPTS]
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))
    _, z = plain.run(ids[0])
    _, there = plain.run(ids[1])
    estimates = attribute(passes, inputs)[0]
    for layer, head in (NodeId(0, 1), NodeId(model.info.n_layers - 1, 2)):
        step = 1e-2 * (there[layer][:, head] - z[layer][:, head])
        moved = [plain.run(ids[0], (layer, head), z[layer][:, head] + sign * step)[0] for sign in (1, -1)]
        slope = (moved[0][mary] - moved[0][john] - moved[1][mary] + moved[1][john]) / 2e-2
        assert float(estimates[passes.layout.index(NodeId(layer, head))]) == pytest.approx(
            float(slope), abs=5e-3, rel=2e-2
        )


@pytest.mark.parametrize("replacement", ["mean", "zero"])
def test_ablations_of_such_heads(replacement: str, family: Made, recorder: Any) -> None:
    model, plain = family.model, family.plain
    ids = [model.tokenizer(prompt).input_ids for prompt in PROMPTS]
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))
    passes, inputs = prepared(model, EXAMPLES, recorder(), method="exact", replacement=replacement)
    clean, _ = plain.run(ids[0])
    _, there = plain.run(ids[1])
    heads = [NodeId(0, 1), NodeId(1, 3), NodeId(model.info.n_layers - 1, 0)]
    for head, found in zip(heads, exact(model, passes, inputs, heads)[:, 0].tolist(), strict=True):
        other = there[head.layer][:, head.head]
        instead = other.mean(0).expand_as(other) if replacement == "mean" else torch.zeros_like(other)
        patched, _ = plain.run(ids[0], head, instead)
        wanted = float((patched[mary] - patched[john]) - (clean[mary] - clean[john]))
        assert found == pytest.approx(wanted, abs=2e-3)


def test_such_heads_are_looked_at(family: Made) -> None:
    plain, folder = family.plain, str(family.folder)
    request = InspectHead(job="i1", model=folder, prompt=PROMPTS[0], layer=1, head=2, models=folder, device="cpu")
    found = Inspector(WarmModel()).answer(request)
    ids = family.model.encode(PROMPTS[0])[0]
    assert found.strength == pytest.approx(plain.contributions(ids)[1][:, 2].norm(dim=-1).tolist(), abs=1e-3)
    assert all(sum(row) == pytest.approx(1.0, abs=0.01) for row in found.attention)


def test_the_largest_head_is_known_before_the_model_is_loaded(family: Made) -> None:
    shape, info = shape_of(str(family.folder), family.folder), family.model.info
    assert (shape.n_layers, shape.n_heads, shape.d_head) == (info.n_layers, 4, info.d_head)
    assert info.d_head == {"gemma4": 16, "deepseek": 12}.get(family.name, 8)


falcon_one_norm = replace(FAMILIES["falcon"], settings={**FAMILIES["falcon"].settings, "num_ln_in_parallel_attn": 1})


@pytest.mark.parametrize(
    ("family", "words", "hint"),
    [
        (
            REFUSED["lfm2"][0],
            r"\(Lfm2ForCausalLM\) has attention heads in 2 of 3 layers \(0, 2\)",
            "attention in every layer",
        ),
        (
            REFUSED["mamba"][0],
            r"\(MambaForCausalLM\) has attention heads in none of its layers",
            "attention in every layer",
        ),
        (REFUSED["falcon_alibi"][0], r"FalconForCausalLM, new decoder with ALiBi", "older decoder"),
        (falcon_one_norm, r"\(FalconForCausalLM\) cannot be loaded: ", "does not know this architecture"),
    ],
)
def test_what_is_no_grid_of_heads_is_refused_by_its_architecture(
    family: Family, words: str, hint: str, tmp_path: Path
) -> None:
    write(family, tmp_path)
    with pytest.raises(ModelError, match=words) as refused:
        load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    assert hint in refused.value.hint
    assert "files" not in refused.value.hint


@pytest.mark.parametrize(
    "sheet",
    [
        {"num_query_heads": [2, 4]},
        {"num_attention_heads": 4, "per_layer_config": {"1": {"num_attention_heads": 2}}},
    ],
)
def test_a_number_of_heads_that_differs_by_layer_is_refused(sheet: dict[str, Any], tmp_path: Path) -> None:
    byte_level(tmp_path)
    llama(tmp_path)
    bridge = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu")).bridge
    bridge.original_model.config = SimpleNamespace(to_dict=lambda: {"num_attention_heads": [4, 4]})
    check_heads(bridge, "tiny")
    bridge.original_model.config = SimpleNamespace(to_dict=lambda: sheet)
    with pytest.raises(ModelError, match=r"tiny \(LlamaForCausalLM\) has 2 to 4 heads by layer"):
        check_heads(bridge, "tiny")


def test_a_damaged_file_is_still_told_as_one(tmp_path: Path) -> None:
    byte_level(tmp_path)
    llama(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nothing of worth")
    with pytest.raises(ModelError) as refused:
        load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    assert "model.safetensors is damaged" in refused.value.message
    assert "Download the model again" in refused.value.hint
