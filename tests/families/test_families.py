"""Every attention family against plain transformers: what is captured, contributed, changed by patching and answered.

`pytest tests/families --whole` runs all of them; without it a dozen that differ most.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.capture import activation_cache
from engine.capture.head_outputs import head_outputs, read_examples
from engine.config import LoadOptions, ProbeConfig
from engine.errors import ModelError
from engine.examples import Example
from engine.grading.rules import grade_examples
from engine.models.loading import load_model

from ..engine.by_hand import all_heads, exact, prepared
from .build import saved, write
from .models import FAMILIES
from .refused import ELSEWHERE, REFUSED

EXACT = 1e-5
"""Largest difference, as a share of the largest number."""
PROMPTS = ("When Mary and John left, John gave a ring to", "When Mary and John left, Paul gave a ring to")
EXAMPLES = tuple(
    Example(prompt=prompt, polarity=side, expected=("Mary",), foils=("John",), pair=1)  # type: ignore[arg-type]
    for prompt, side in zip(PROMPTS, ("positive", "negative"), strict=True)
)


@pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")  # of transformers, by the bridge
def test_family(family: str, tmp_path: Path, recorder: Any) -> None:
    torch.set_num_threads(1)
    plain = saved(FAMILIES[family], tmp_path)
    model = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    assert not model.contributions.unconfirmed
    ids = [model.tokenizer(prompt).input_ids for prompt in PROMPTS]
    mary, john = (model.tokenizer.convert_tokens_to_ids(f"\u0120{word}") for word in ("Mary", "John"))
    logits, z = plain.run(ids[0])
    n_heads = plain.n_heads

    contributions = plain.contributions(ids[0])
    for layer, added in enumerate(plain.added(ids[0])):
        assert apart(contributions[layer].sum(dim=1), added) < EXACT, layer

    reading = read_examples(model, EXAMPLES, ProbeConfig(), recorder(), None, torch.tensor([[0, 1]]))
    assert reading.apart is not None
    assert (reading.apart[0].abs().amax(dim=(1, 2)) > 0).all(), "no difference of the pair in some layer"
    (grade, _) = grade_examples(model, EXAMPLES, reading)
    assert grade.probability == pytest.approx(float(logits.softmax(-1)[mary]), rel=EXACT, abs=1e-7)
    outputs = head_outputs(model, reading.z)[0].view(len(z), n_heads, -1)
    for layer, heads in enumerate(contributions):
        if FAMILIES[family].after.norm is None:
            assert apart(reading.z[0, layer, :, : z[layer].shape[-1]], z[layer].mean(0)) < EXACT, layer
        assert apart(outputs[layer], heads[:, :n_heads].mean(0)) < EXACT, layer

    passes, inputs = prepared(model, EXAMPLES, recorder(), method="exact", replacement="pair")
    assert all(apart(mine[0], theirs) < EXACT for mine, theirs in zip(inputs.clean.z, z, strict=True))
    effects = exact(model, passes, inputs, all_heads(model))[:, 0]
    wanted = torch.tensor([plain.effect(ids[0], ids[1], head, mary, john) for head in all_heads(model)])
    assert float(wanted.abs().max()) > 0.01
    assert float((effects - wanted).abs().max()) < EXACT * max(1.0, float(logits.abs().max()))


def test_differences_that_an_earlier_version_stored_as_nothing_are_read_again(tmp_path: Path, recorder: Any) -> None:
    saved(FAMILIES["gpt1"], tmp_path)
    model = load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))
    given = (model, EXAMPLES, ProbeConfig(), recorder(), tmp_path / "cache", torch.tensor([[0, 1]]))
    first = read_examples(*given)
    (path,) = (tmp_path / "cache").glob("*.safetensors")
    stored = activation_cache.load(path.parent, path.stem)
    assert stored is not None
    activation_cache.save(path.parent, path.stem, {**stored, "apart": torch.zeros_like(stored["apart"])})
    again = read_examples(*given)
    assert not again.cached
    assert again.apart is not None
    assert first.apart is not None
    assert torch.equal(again.apart, first.apart)
    assert read_examples(*given).cached


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, as a share of the largest number that is wanted."""
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_refused(refused: str, tmp_path: Path) -> None:
    family, words = REFUSED[refused]
    write(family, tmp_path)
    with pytest.raises(ModelError, match=words):
        load_model(str(tmp_path), tmp_path, LoadOptions(device="cpu"))


def test_every_architecture_of_the_bridge_is_made_refused_or_explained() -> None:
    import transformers
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
    from transformers.models.auto import modeling_auto

    made = [*FAMILIES.values(), *(family for family, _ in REFUSED.values())]
    text = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    images = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    kinds = {(images if family.images else text)[getattr(transformers, family.config).model_type] for family in made}
    explained = {name for names in ELSEWHERE.values() for name in names.split()}
    assert set(SUPPORTED_ARCHITECTURES) - kinds == explained
    assert all(re.search("[a-z]{3}", reason) for reason in ELSEWHERE)
