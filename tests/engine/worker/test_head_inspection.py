"""A close look at a head: attention, firing and what codes write, against the plain formulas."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.config import LoadOptions
from engine.errors import EngineError, ExampleError, NoSuchNode
from engine.models.loading import load_model
from engine.models.warm_model import WarmModel
from engine.protocol import InspectHead
from engine.worker import head_inspection
from engine.worker.head_inspection import Inspector

PROMPT = "When Mary and John went to the shop, John gave a book to"


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return Inspector(WarmModel())


def request(**changes: object) -> InspectHead:
    given = {"job": "l1", "model": "toy", "prompt": PROMPT, "layer": 1, "head": 3, "models": "/nowhere"} | changes
    return InspectHead(**given)  # type: ignore[arg-type]


def test_attention_rows_sum_to_one_and_see_nothing_later(inspector: Inspector) -> None:
    look = inspector.answer(request())
    assert "Mary" in look.tokens[1]
    assert [len(row) for row in look.attention] == list(range(1, len(look.tokens) + 1))
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in look.attention)
    assert len(look.strength) == len(look.tokens)
    assert look.skipped == 0
    assert look.writes == ()


def test_strength_is_the_norm_of_what_the_head_adds(inspector: Inspector) -> None:
    model = load_model("toy", Path("/nowhere"), LoadOptions(device="cpu"))
    ids, _ = model.encode(PROMPT)
    found: dict[str, torch.Tensor] = {}

    def keep(z: torch.Tensor, hook: object) -> None:  # noqa: ARG001
        found["z"] = z

    with torch.inference_mode():
        model.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=[("blocks.2.attn.hook_z", keep)])
        written = found["z"].view(len(ids), model.info.n_heads, -1)[:, 5] @ model.output_weights[2, 5]
    look = inspector.answer(request(layer=2, head=5))
    assert look.strength == pytest.approx(written.norm(dim=-1).tolist(), abs=1e-4)


def test_a_code_that_is_a_tokens_own_direction_writes_that_token(inspector: Inspector, tmp_path: Path) -> None:
    model = load_model("toy", Path("/nowhere"), LoadOptions(device="cpu"))
    (token,) = model.tokens.alone(" Mary")
    gain = model.bridge.ln_final.weight.detach()
    direction = model.bridge.W_U.detach()[:, token] / gain
    weights = torch.stack([torch.randn(model.info.d_model), direction]).expand(2, -1, -1).contiguous()
    save_file({"W_d_T": weights}, tmp_path / "sae.safetensors")
    look = inspector.answer(request(sae=str(tmp_path / "sae.safetensors"), codes=(1, 7), seed_index=1))
    (writes,) = look.writes
    assert writes.code == 1
    assert writes.raises[0][0] == " Mary"
    assert all(a >= b for (_, a), (_, b) in zip(writes.raises, writes.raises[1:], strict=False))
    assert writes.lowers[0][1] < 0
    assert len(writes.along) == len(look.tokens)
    assert all(-1.001 <= value <= 1.001 * direction.norm() for value in writes.along)


@pytest.mark.parametrize("name", ["toy", "planted-ioi"])
def test_what_a_code_writes_is_in_the_models_own_logits(name: str, inspector: Inspector, tmp_path: Path) -> None:
    """Planted models' norms multiply by ten thousand what they have divided by it: only both together are right."""
    model = load_model(name, tmp_path, LoadOptions(device="cpu"))
    ids, _ = model.encode(PROMPT)
    found: dict[str, torch.Tensor] = {}

    def keep(stream: torch.Tensor, hook: object) -> None:  # noqa: ARG001
        found["stream"] = stream[0, -1]

    with torch.inference_mode():
        logits = model.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=[("ln_final.hook_in", keep)])[0, -1]
    # All that reaches the final norm as one direction: what it writes is what the model says.
    length = found["stream"].norm()
    weights = (found["stream"] / length).expand(1, 1, -1).contiguous()
    save_file({"W_d_T": weights}, tmp_path / "sae.safetensors")
    look = inspector.answer(
        request(model=name, models=str(tmp_path), sae=str(tmp_path / "sae.safetensors"), codes=(0,), seed_index=0)
    )
    (writes,) = look.writes
    best = (logits - logits.mean()).topk(2)  # planted names not in the prompt are all as likely
    assert [text for text, _ in writes.raises[:2]] == [model.token_words(token) for token in best.indices.tolist()]
    assert [value * float(length) for _, value in writes.raises[:2]] == pytest.approx(best.values.tolist(), rel=0.05)


def test_of_a_long_prompt_the_end_is_told(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = inspector.answer(request())
    monkeypatch.setattr(head_inspection, "MOST_TOKENS", 4)
    end = inspector.answer(request())
    assert end.tokens == whole.tokens[-4:]
    assert end.skipped == len(whole.tokens) - 4
    assert [len(row) for row in end.attention] == [1, 2, 3, 4]
    assert end.attention[-1] == whole.attention[-1][-4:]


def test_bad_orders_are_named(inspector: Inspector, tmp_path: Path) -> None:
    with pytest.raises(NoSuchNode, match=r"9\.9"):
        inspector.answer(request(layer=9, head=9))
    with pytest.raises(ExampleError):
        inspector.answer(request(prompt=""))
    with pytest.raises(EngineError, match="cannot be read"):
        inspector.answer(request(sae=str(tmp_path / "none"), codes=(1,)))
    save_file({"W_d_T": torch.zeros(1, 4, 7)}, tmp_path / "narrow.safetensors")
    with pytest.raises(EngineError, match="7 wide"):
        inspector.answer(request(sae=str(tmp_path / "narrow.safetensors"), codes=(1,)))
